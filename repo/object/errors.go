package object

import (
	"errors"
	"fmt"
)

var (
	// ErrNoBucket: there is no such bucket.
	ErrNoBucket = errors.New("no such bucket")
	// ErrNoKey: the key has no version, or its newest is a delete marker.
	ErrNoKey = errors.New("no such key")
	// ErrNoVersion: the key has no version of this ID.
	ErrNoVersion = errors.New("no such version")
	// ErrNoUpload: the upload does not exist, was aborted, or belongs to another key.
	ErrNoUpload = errors.New("no such upload")
	// ErrNotEmpty: a bucket that has versions cannot be removed.
	ErrNotEmpty = errors.New("bucket is not empty")
	// ErrLocked: retention or a legal hold forbids this.
	ErrLocked = errors.New("protected by object lock")
	// ErrSnapshot: the key holds a snapshot or lies in one, which is written by firn backup only.
	ErrSnapshot = errors.New("key belongs to a snapshot")
	// ErrNoUser: there is no such user or access key.
	ErrNoUser = errors.New("no such user")
	// ErrBusy: too much is under way; try again later.
	ErrBusy = errors.New("too many requests")
	// ErrClosed: the engine is being closed.
	ErrClosed = errors.New("closed")
)

// BucketExists says who has the bucket that was to be created.
type BucketExists struct{ Bucket *Bucket }

func (e *BucketExists) Error() string { return fmt.Sprintf("bucket %s exists", e.Bucket.Name) }

// PartError says which part of a list given to Complete is wrong, and why.
type PartError struct {
	Number int
	Reason PartReason
	Size   int64 // of the part, when it is too small
	ETag   string
}

// PartReason is what is wrong with a part.
type PartReason int

// The reasons, in the order in which they are looked for.
const (
	PartMissing  PartReason = iota // no such part, or another ETag or checksum
	PartTooSmall                   // smaller than the least size, and not the last
)

func (e *PartError) Error() string {
	if e.Reason == PartTooSmall {
		return fmt.Sprintf("part %d has only %d bytes", e.Number, e.Size)
	}
	return fmt.Sprintf("part %d is not the one that was uploaded", e.Number)
}
