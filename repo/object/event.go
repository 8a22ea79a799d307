package object

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/firnstore/firn/index"
)

// Event is what a target is told of one change. It lies in the repository from the commit
// of that change on, until it was delivered or given up (Settle).
type Event struct {
	Target string `cbor:"-"` // name of who is told
	Place  Place  `cbor:"-"` // set by the engine

	Time      int64   `cbor:"0,keyasint"` // ns since 1970
	Name      string  `cbor:"1,keyasint"` // as S3 has it, without s3:
	Rule      string  `cbor:"2,keyasint,omitempty"`
	Bucket    string  `cbor:"3,keyasint"`
	Owner     string  `cbor:"4,keyasint,omitempty"` // of the bucket: canonical ID
	Key       []byte  `cbor:"5,keyasint"`
	Version   string  `cbor:"6,keyasint,omitempty"` // as S3 has it; "" in a bucket without versions
	Size      *uint64 `cbor:"7,keyasint,omitempty"` // bytes
	ETag      string  `cbor:"8,keyasint,omitempty"`
	Class     string  `cbor:"9,keyasint,omitempty"`  // of a transition: the class it has now
	Principal string  `cbor:"10,keyasint,omitempty"` // who did it
	Remote    string  `cbor:"11,keyasint,omitempty"` // address it came from
	Request   string  `cbor:"12,keyasint,omitempty"` // ID of the request
	Until     int64   `cbor:"13,keyasint,omitempty"` // of a restored copy: ns since 1970 until when it is there
}

// Place of an event in the repository: the number of its commit and its own in that, from
// 0. A change of a key that comes after another one has a higher place, on whatever server.
type Place struct {
	Commit uint64
	Number uint32
}

// Compare is -1, 0 or 1 when p lies before, at or behind q.
func (p Place) Compare(q Place) int { return bytes.Compare(p.append(nil), q.append(nil)) }

func (p Place) append(b []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, p.Commit), p.Number)
}

// String is the place in 24 hexadecimal digits, which sort as places do.
func (p Place) String() string { return fmt.Sprintf("%X", p.append(nil)) }

// Deed is what was done to a version.
type Deed int

// The deeds.
const (
	Made    Deed = iota // the version is new
	Marked              // the version is a delete marker, and new
	Removed             // the version is gone for good
	Edited              // the version has other tags, lock or metadata
)

// Teller says who is told what of a deed. It is called inside the commit, with the settings
// of the bucket in force there, and may be called more than once; it must not change
// what it gets. Its error refuses the change. nil tells nobody.
type Teller func(b *Bucket, deed Deed, v *index.Version) ([]Event, error)

// Rows of table event have the key: name of the target, 0x00, place. Those of table
// delivery have the name of the target.
const (
	tableEvent    = "event"
	tableDelivery = "delivery"
)

// maxTargetName bounds the name of a target in bytes.
const maxTargetName = 64

func eventPrefix(target string) []byte { return append([]byte(target), 0) }

func eventKey(target string, p Place) []byte { return p.append(eventPrefix(target)) }

// places gives out the places of one commit.
type places struct {
	next Place // Commit 0: not known yet
	told bool
}

// tell puts the events of a deed into the commit. An error stays in d.broken.
func (d *decision) tell(t Teller, b *Bucket, deed Deed, v *index.Version) error {
	if t == nil || d.broken != nil {
		return d.broken
	}
	d.broken = d.putEvents(t, b, deed, v)
	return d.broken
}

func (d *decision) putEvents(t Teller, b *Bucket, deed Deed, v *index.Version) error {
	list, err := t(b, deed, v)
	if err != nil || len(list) == 0 {
		return err
	}
	if d.events.next.Commit == 0 {
		applied, _, err := d.ix.Applied()
		if err != nil {
			return err
		}
		d.events.next.Commit = applied + 1
	}
	for i := range list {
		ev := &list[i]
		if ev.Target == "" || len(ev.Target) > maxTargetName {
			return fmt.Errorf("event for target %q: the name has to have 1 to %d bytes", ev.Target, maxTargetName)
		}
		ev.Time = d.now
		value, err := index.Marshal(ev)
		if err != nil {
			return fmt.Errorf("event for target %s: %w", ev.Target, err)
		}
		d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableEvent, Key: eventKey(ev.Target, d.events.next), Value: value})
		d.events.next.Number++
	}
	d.events.told = true
	return nil
}

// wakeDelivery says that there are events, if the last commit had some.
func (e *Engine) wakeDelivery() {
	if !e.told.Swap(false) {
		return
	}
	select {
	case e.delivery <- struct{}{}:
	default:
	}
}

// Told receives a value after a commit of this engine with events. Events that other
// processes put are not announced.
func (e *Engine) Told() <-chan struct{} { return e.delivery }

// Events calls f for the events of a target behind a place, in their order. f returns
// false to stop, and may keep what it gets. An event that cannot be decoded is an error.
func (e *Engine) Events(target string, after Place, f func(*Event) bool) error {
	var from []byte
	if after != (Place{}) {
		from = append(eventKey(target, after), 0)
	}
	err := e.r.Index().Rows(tableEvent, eventPrefix(target), from, func(k, row []byte) error {
		p, err := parsePlace(k)
		if err != nil {
			return err
		}
		ev := &Event{Target: target, Place: p}
		if err := index.Unmarshal(row, ev); err != nil {
			return fmt.Errorf("event %s of target %s: %w", p, target, err)
		}
		if !f(ev) {
			return errEnough
		}
		return nil
	})
	return stopped(err)
}

const placeSize = 12

func parsePlace(k []byte) (p Place, err error) {
	if len(k) < placeSize+1 || k[len(k)-placeSize-1] != 0 {
		return p, fmt.Errorf("row of table event with a key of %d bytes: %w", len(k), index.ErrDamaged)
	}
	k = k[len(k)-placeSize:]
	return Place{Commit: binary.BigEndian.Uint64(k), Number: binary.BigEndian.Uint32(k[8:])}, nil
}

// CountEvents returns how many events of a target wait behind a place, without decoding
// them.
func (e *Engine) CountEvents(target string, after Place) (n int, err error) {
	var from []byte
	if after != (Place{}) {
		from = append(eventKey(target, after), 0)
	}
	err = e.r.Index().Rows(tableEvent, eventPrefix(target), from, func(_, _ []byte) error { n++; return nil })
	return n, err
}

// EventTargets returns the names for which events wait, in their order. It costs a seek
// each.
func (e *Engine) EventTargets() (names []string, err error) {
	var from []byte
	for {
		name := ""
		err := e.r.Index().Rows(tableEvent, nil, from, func(k, _ []byte) error {
			if _, err := parsePlace(k); err != nil {
				return err
			}
			name = string(k[:len(k)-placeSize-1])
			return errEnough
		})
		if err := stopped(err); err != nil {
			return nil, err
		}
		if name == "" {
			return names, nil
		}
		names = append(names, name)
		from = append([]byte(name), 1)
	}
}

// Delivery says which server delivers the events of a target. The zero value is nobody.
type Delivery struct {
	Server string `cbor:"0,keyasint"`           // an ID drawn by each process; "" after it let go
	Turns  uint64 `cbor:"1,keyasint"`           // how often it changed hands
	Idle   uint64 `cbor:"2,keyasint,omitempty"` // how often since an event was settled
}

// Delivery returns who delivers the events of a target.
func (e *Engine) Delivery(target string) (d Delivery, err error) {
	row, err := e.r.Index().Row(tableDelivery, []byte(target))
	if errors.Is(err, index.ErrNotFound) {
		return Delivery{}, nil
	}
	if err != nil {
		return d, err
	}
	if err := index.Unmarshal(row, &d); err != nil {
		return d, fmt.Errorf("who delivers to target %s: %w", target, err)
	}
	return d, nil
}

// deliveryScope is taken by all who settle events of a target or take it over.
func deliveryScope(target string) scope { return scope{name: "d" + target} }

// ErrTaken: another server delivers the events of the target.
var ErrTaken = errors.New("another server delivers")

// TakeDelivery lets server deliver the events of a target in place of the one seen, and
// lets go of it when server is "". ErrTaken when it is not as seen any more.
func (e *Engine) TakeDelivery(ctx context.Context, target, server string, seen Delivery) error {
	return e.propose(ctx, &proposal{
		scopes: []scope{deliveryScope(target)},
		decide: func(d *decision) error {
			now, err := e.Delivery(target)
			if err != nil {
				return err
			}
			if now != seen {
				return fmt.Errorf("events of target %s: %w", target, ErrTaken)
			}
			return d.putDelivery(target, Delivery{Server: server, Turns: now.Turns + 1, Idle: now.Idle + 1})
		},
	})
}

func (d *decision) putDelivery(target string, to Delivery) error {
	value, err := index.Marshal(&to)
	if err != nil {
		return fmt.Errorf("who delivers to target %s: %w", target, err)
	}
	d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableDelivery, Key: []byte(target), Value: value})
	return nil
}

// Settle removes events of a target that were delivered or are given up. Those that are
// gone already are passed over. They are gone for good when it returns nil.
func (e *Engine) Settle(ctx context.Context, target string, list []Place) error {
	for part := range slices.Chunk(list, maxSettle) {
		err := e.propose(ctx, &proposal{
			scopes: []scope{deliveryScope(target)}, weight: int64(len(part)) * 100,
			decide: func(d *decision) error { return d.settle(target, part) },
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// maxSettle bounds the events that are settled by one commit.
const maxSettle = 4096

func (d *decision) settle(target string, list []Place) error {
	for _, p := range list {
		key := eventKey(target, p)
		_, err := d.ix.Row(tableEvent, key)
		if errors.Is(err, index.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableEvent, Key: key})
	}
	now, err := d.e.Delivery(target)
	if err != nil || now.Idle == 0 || len(d.ops.Rows) == 0 {
		return err
	}
	now.Idle = 0
	return d.putDelivery(target, now)
}
