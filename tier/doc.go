// Package tier keeps write-once files in stores. A [Store] is a flat namespace
// of immutable files: a directory ([Dir]), memory ([Memory]), and others that
// pass the contract suite in tier/tiertest. The package knows nothing of what
// is inside a file.
//
// A file begins with Create, receives its bytes by Write and appears with
// Commit, all at once or not at all. Afterwards it can be read, listed and
// deleted, but never changed; only [Replace] brings back one that was damaged.
//
// # Invariants
//
//  1. Once: of all Commits under one name exactly one succeeds, whichever
//     process or host calls it. The others return ErrExist and change nothing.
//  2. Whole: a name that can be seen has all its bytes.
//  3. Durable: when Commit returns nil or ErrExist, the file under the name
//     survives a power loss, its folders included. When Delete returns nil, the
//     absence does.
//  4. Clean: a writer that is aborted, fails or dies leaves nothing under its
//     name. What a dead process left elsewhere is removed by the next OpenDir.
//  5. Ordered: List goes in byte order of full names and yields each file that
//     exists during the whole call exactly once.
//  6. Confined: no name leads out of the store, not even over a symbolic link.
//  7. Sticky: after its first error a Writer only returns that error.
//  8. Bounded: memory and descriptors do not grow with the number or the size
//     of the files in a directory.
//
// A file becomes visible shortly before it becomes durable. Another process can
// see it in between, so whoever builds on a name that he did not commit himself
// must know that its Commit returned, or call [Settle].
//
// # How a directory publishes a file
//
// A Commit takes these steps; a crash after any of them leaves what is said:
//
//  1. sync the data: nothing visible, no litter for an anonymous file, an
//     unlocked temporary in .tmp otherwise.
//  2. give it its name, which fails when the name is taken: the whole file, if
//     the file system kept the entry, or nothing.
//  3. sync the folder: the whole file.
//
// Step 2 has three forms, of which the first that the file system offers is
// used: link an anonymous file (Linux, O_TMPFILE), link a named temporary, or
// rename a named temporary without replacing. Where none of them works, Create
// refuses: claiming a name with an empty file first would show torn files, and a
// check before a plain rename would let two writers win.
package tier
