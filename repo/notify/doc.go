// Package notify delivers the events that lie in a repository to targets: webhooks, NATS
// JetStream, Redis streams, PostgreSQL tables and Kafka.
//
// Invariants:
//
//  1. An event is removed from the repository only after its target has confirmed it, or
//     when it is given up for its age or for their number, which is reported.
//  2. Of two events of one key the later is sent only after the earlier was confirmed or
//     given up. Events of different keys do not wait for each other.
//  3. An event may be delivered more than once, for instance after a crash.
//  4. Memory does not grow with the number of events that wait.
package notify

import (
	"context"
	"time"
)

// Message is an event on its way to a target.
type Message struct {
	ID     string // the same each time the event is sent, and of no other event
	Key    string // bucket, slash, key; "" of a test event
	Name   string // type, such as ObjectCreated:Put
	Bucket string
	Time   time.Time
	Body   []byte // JSON
}

// Target takes messages. Send may be called again after it failed, and after Close no more.
type Target interface {
	// Send returns an error for each message, nil when the target has confirmed it: only
	// then it will not be sent again. No two messages of a call have the same key. Calls
	// may overlap. It returns soon after ctx ends.
	Send(ctx context.Context, list []Message) []error
	Close()
}

// same returns n times an error.
func same(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}
