// Package lifecycle decides what is due for the versions of objects as time goes by: by the
// rules of a bucket, and by what was asked for to read from an archive. It knows no store,
// no clock and no wire format: values in, a decision out, the same each time.
//
// The semantics are those of Amazon S3, as its user guide has them.
package lifecycle
