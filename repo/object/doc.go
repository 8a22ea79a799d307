// Package object keeps buckets, keys, versions, uploads and users in a repository. It
// decides which bytes exist; what an answer looks like is decided by the faces above it,
// such as package repo/s3.
//
// Every change is a proposal: a pure decision over the folded state, taken inside the
// commit that carries it out. Proposals that wait while a commit is being made durable
// share the next one.
//
// Invariants:
//
//  1. A method that changes something returns nil only after its commit is durable.
//  2. Condition, version and lock of one key are decided in one commit: of two writers
//     who both want to create a key, one wins.
//  3. A version under retention or legal hold is not removed, and its retention is not
//     weakened, by any method here.
//  4. A version that was read stays readable as that version, whatever happens to its
//     key meanwhile. Once it is removed, that holds until the grace of a prune has passed.
//  5. Memory does not grow with the size of an object, of a bucket, or with the number
//     of its parts.
package object
