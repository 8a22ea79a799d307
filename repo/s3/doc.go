// Package s3 turns HTTP requests of the S3 REST API into calls of package object and the
// results into answers. It translates and decides nothing about which bytes exist.
//
// Each request goes through the same steps: identify, route, authenticate, take the
// settings of the bucket, authorise, run, record. Package auth does the third, package
// access the fifth; operations lie in the files named after their resource.
//
// Invariants:
//
//  1. The table of operations is closed: a request that no row fits is refused, and never
//     falls through to another operation.
//  2. No byte of a body is stored, and none of a configuration believed, before signature,
//     length and checksums of the request held.
//  3. What is between the body and the answer is one call of the engine, with its
//     conditions inside.
//  4. Settings of the bucket are read once per request.
//  5. A header that asks for something is obeyed or refused, never ignored.
package s3
