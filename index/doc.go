// Package index holds the commits of the log, their fold, and the lookups that the
// engine makes in it.
//
// A Commit goes in, sealed and signed by [Commit.Seal], and comes out, verified, of
// [ParseCommit]. [Index.Apply] folds commits into a bbolt file; the other methods of
// [Index] answer questions about the folded state: where does a chunk lie, which
// versions does a key have, which packs are there. docs/format.md, section 10, gives
// the bytes. The package reads and writes no store: package repo moves the bytes.
//
// Invariants, which tests name by number:
//
//  1. The index is the fold of the log: applying the same commits to an empty index,
//     in one batch or in many, or through a checkpoint, gives the same answers.
//  2. A commit that does not follow the applied one (sequence, hash, signature,
//     admitted writer) is refused and changes nothing.
//  3. The index is a cache: it may lag, be deleted or be damaged, and no answer is
//     ever wrong. Every row carries a check; a row that fails it, or a page that
//     makes bbolt panic or fault, is [ErrDamaged].
//  4. No operation takes memory in proportion to the number of chunks, but for the
//     filter of at most two bytes each, which is made only when misses pay for it.
//  5. Chunk locations are written in sequential blobs, never one key each.
//  6. An index file that was not closed cleanly is trusted only until the machine
//     restarts, since it is written without syncing.
//
// The chunk table is built of two things. Each pack has a blob with its chunks in the
// order in which they lie. Sorted runs of (ID prefix, pack, slot) lead from an ID to
// the blob; small runs are merged into larger ones, four at a time, as in a
// log-structured merge tree (O'Neil et al., 1996). A lookup guesses its place in a
// run by interpolation, since IDs are uniformly distributed. A blocked Bloom filter
// (Putze, Sanders and Singler, 2007) answers for chunks that are certainly new.
//
// Three things keep invariant 3, since bbolt believes every page but two. Rows carry a
// check of their own and one of the key that follows (table.go), so that neither a
// wrong row nor a missing one is believed. Branch pages and the list of free pages are
// walked before bbolt uses them (pages.go); a clean index holds their digest. Each call into
// bbolt is guarded against panics and memory faults (index.go). What remains: a leaf page
// that holds an older state of itself, as after a write that the disk confirmed and
// lost, looks whole if its first and last row are the same in both; and a file that
// someone changes while it is open may end the program.
package index
