// Package chunk cuts streams into chunks and names them.
//
// Bytes and the secret of a repository go in; the lengths and the IDs of chunks
// come out. The package does no I/O, starts no goroutine and keeps no global
// state. Compression, encryption and the place of a chunk belong to others, and
// so does gathering the bytes that Cutter.Next looks at.
//
// A backup uses it like this:
//
//	key, pol, err := chunk.Derive(secret)
//	cutter, err := chunk.NewCutter(chunk.DefaultProfile(), pol) // one for all streams
//	hasher := chunk.NewHasher(key)                              // one per goroutine
//	n := cutter.Next(data, final)                               // data starts at a cut
//	id := hasher.ID(data[:n])
//
// Invariants, named by number in the tests:
//
//  1. Cuts are those of github.com/restic/chunker v0.5.0 with the same
//     polynomial, bits, minimum and maximum.
//  2. The chunks of a stream, joined in order, are the stream. Each is at least
//     Min and at most Max bytes long, but the last may be shorter than Min.
//  3. The end of a chunk depends only on the bytes since the previous cut: not on
//     how the stream arrived, nor on what stands before or after the chunk.
//  4. A change of a stream changes the chunks around it; soon after it the cuts
//     of the old and the new stream fall together again.
//  5. An ID is BLAKE3-256 of the chunk, keyed with the repository's chunk key.
//  6. Cuts and IDs never change for a given secret and profile. A change would
//     store all data again.
//  7. Neither the chunk key nor the polynomial is ever printed or marshalled.
package chunk
