// Package pack turns chunks into sealed packs and sealed packs into frames.
//
// In go chunks with their IDs; out comes one age file that holds them in
// compressed frames, followed by a directory of what lies where. Reading goes
// the other way in two steps: a [Directory], which may come from the pack itself
// or from the log, says in which frame a chunk lies, and [Reader.ReadFrame]
// returns that frame decoded, for the caller to cut the chunk out.
//
// The package is a codec. It knows no store and no index, it names no files
// beyond [ID.Name], and it does not check that a chunk has its ID: that takes a
// key which the package never sees. The bytes are those of sections 2, 6 and 14
// of docs/format.md.
//
// The layers, from the inside out:
//
//	layout.go     header, frames, directory, trailer: the plaintext of a pack
//	writer.go     chunks are collected into frames, frames are compressed
//	seal.go       age around the plaintext; its header and the digest of the file
//	reader.go     plaintext ranges out of a sealed pack, one source read each
//
// Invariants:
//
//  1. What [Writer] takes, [Reader] returns: every chunk lies where the
//     directory says, byte for byte.
//  2. A pack is one standard age file and a zstd frame is one standard zstd
//     frame: age -d and zstd -d read them without options.
//  3. The layout is a function of ID, kind, frames and chunks. Bytes of version 1
//     that were ever written stay readable.
//  4. [ParseDirectory] accepts exactly what [Directory.Append] produces, and
//     refuses everything else with [ErrCorrupt].
//  5. A damaged or cut pack is an error, or it yields the right bytes. It is never
//     a panic, and never wrong bytes.
//  6. Nothing is allocated because a file claims a length: lengths are checked
//     against the size of what holds them and against the limits of the format.
//  7. The parts of [Sealed] describe the bytes that went to dst: size, BLAKE3, age
//     header, and the same directory as in the pack.
//  8. A range of frames costs one read of the source; opening a pack costs at
//     most two.
//  9. The age header can be kept apart: with it, the payload alone is readable,
//     also after the header was wrapped anew for another recipient.
//  10. A Writer that failed stays failed and never yields a [Sealed].
package pack
