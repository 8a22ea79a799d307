// Package kill takes the real binary through what ends programs: SIGKILL at any moment,
// a disk that is full, a power failure, and many processes at once. It knows firn only by
// its command line and its S3 endpoint.
//
// A world is one repository with a tree that is backed up into it and objects that are put
// into it. It remembers what firn acknowledged: snapshots whose ID was printed, objects
// whose PUT was answered. After each blow:
//
//  1. The next command works, without any repair.
//  2. firn check finds nothing.
//  3. What was acknowledged is there and is what was given; what was not acknowledged is
//     there whole or not at all.
//
// The seed decides what is done and when a blow is meant to come. The system decides when it
// comes, so a seed gives the same story but not the same ending; a world in which something
// was found is kept for that reason.
package kill
