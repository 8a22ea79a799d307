// Package snapshot turns directories into versions of a repository and back.
//
// [Save] walks directories and stores a tree; [Restore] writes one; [List] and [Find]
// know which there are; [Check] proves that what they need is there. The bytes of
// trees are in docs/format.md, section 9; contents, packs and commits are the
// business of package repo.
//
// Invariants, which tests name by number:
//
//  1. What Restore writes equals what Save read: names, contents, types, modes, owners,
//     times, links, extended attributes and holes, as far as the system and the
//     privileges of the process allow; what they do not allow is reported.
//  2. Nothing that a repository says makes Restore touch anything outside of its
//     target: names are single components, and no symbolic link is followed.
//  3. A file that could not be read whole and unchanged is reported by name and
//     counted, never passed over.
//  4. Memory does not grow with the number of files, but for the directories on the way
//     from the root to where the work is, and a few bytes per hard-linked file.
//  5. A snapshot appears only when everything it needs is durable.
//  6. A file is taken as unchanged only when size, modification time, change time and
//     inode are those of the parent snapshot.
package snapshot
