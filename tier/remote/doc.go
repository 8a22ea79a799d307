// Package remote keeps the files of a store as objects in a bucket of any S3-compatible
// storage. A [Store] holds the contract of package tier; this page says how, where a
// bucket differs from a directory.
//
// # How a file appears
//
// A file of up to one part (8 MiB) is sent by one PUT when it is committed. A larger one is a
// multipart upload, whose parts leave while the file is still being written; its last
// request makes it appear. Both carry If-None-Match: *, so that of many writers of one
// name one wins. Nothing is visible before. Every part carries a CRC32C, which the storage
// compares before it acknowledges.
//
// # Lost answers
//
// Each writer draws a random nonce and gives it to its object as metadata. When a request
// is repeated because its answer was lost, the repetition meets the object of the first
// and is refused. So whoever is refused looks at the nonce: his own means that he won.
//
// # What is retried
//
// Requests that failed on the way, or that the storage asks to repeat (429, 5xx, SlowDown),
// are sent again after a pause that doubles and is drawn at random, for as long as
// [Options.Patience] allows. All requests of a store share a budget of retries, which only
// successes refill, so that a storage in trouble is not asked many times as often as usual.
//
// # What is left behind
//
// A process that dies in the middle of an upload leaves parts that nobody sees and that
// cost money. [Store.AbortUploads] removes those of a given age.
package remote
