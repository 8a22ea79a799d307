package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/lifecycle"
)

// Lifecycle says how the rules of buckets are carried out.
type Lifecycle struct {
	Server   string // an ID drawn by each process
	Calendar lifecycle.Calendar

	// Rules returns those of a bucket, nil if it has none. Size is that of a version as
	// clients see it, in bytes, and Marker the system metadata of delete markers.
	Rules  func(*Bucket) (*lifecycle.Rules, error)
	Size   func(*index.Version) int64
	Marker func(*Bucket) map[string]string

	Tell Teller               // of what was done to versions
	Done func(*LifecycleDeed) // called after the commit, by one goroutine; nil: nobody cares

	Bucket string // look at this one only; the run of the day stays as due as it was
	DryRun bool   // change nothing; Done is told what would be done
	Force  bool   // also when the run of the day is over
}

// LifecycleDeed is what was done by a rule.
type LifecycleDeed struct {
	lifecycle.Decision
	Bucket  *Bucket
	Version *index.Version // it was done to; of an upload that was aborted the one it would have become
	Marker  *index.Version // the delete marker that was put, if any
	Upload  string         // ID of an upload that was aborted; then the deed is Remove
}

// LifecycleCounts are what a run did.
type LifecycleCounts struct {
	Looked  uint64 `cbor:"0,keyasint,omitempty" json:"looked"`  // versions and uploads
	Removed uint64 `cbor:"1,keyasint,omitempty" json:"removed"` // versions, for good
	Marked  uint64 `cbor:"2,keyasint,omitempty" json:"marked"`  // delete markers that were put
	Moved   uint64 `cbor:"3,keyasint,omitempty" json:"moved"`   // versions, to another class
	Aborted uint64 `cbor:"4,keyasint,omitempty" json:"aborted"` // uploads
}

// Count adds a deed.
func (c *LifecycleCounts) Count(d *LifecycleDeed) {
	switch {
	case d.Upload != "":
		c.Aborted++
	case d.Deed == lifecycle.Remove:
		c.Removed++
	case d.Deed == lifecycle.Transit:
		c.Moved++
	case d.Deed == lifecycle.PutMarker:
		c.Marked++
	}
}

// LifecycleRun is the run of a day. Times are ns since 1970.
type LifecycleRun struct {
	Day      int64           `cbor:"0,keyasint"` // when the day began
	Server   string          `cbor:"1,keyasint"`
	Started  int64           `cbor:"2,keyasint"`
	Renewed  int64           `cbor:"3,keyasint"`           // last sign of life
	Finished int64           `cbor:"4,keyasint,omitempty"` // 0: not yet
	Bucket   string          `cbor:"5,keyasint,omitempty"` // how far it came: what lies before
	Key      []byte          `cbor:"6,keyasint,omitempty"` // this bucket, and this key in it, is done
	Counts   LifecycleCounts `cbor:"7,keyasint"`
	Before   int64           `cbor:"8,keyasint,omitempty"` // when the last run before that finished
}

// LastFinished is when this run finished or, while it is under way, the one before; 0 is never.
func (run *LifecycleRun) LastFinished() int64 {
	switch {
	case run == nil:
		return 0
	case run.Finished == 0:
		return run.Before
	}
	return run.Finished
}

const (
	tableJob     = "job"
	keyLifecycle = "lifecycle"
)

// Times of a run.
const (
	lifecycleSign  = time.Minute      // between signs of life
	lifecycleLease = 10 * time.Minute // without one until another server goes on with the run
)

var lifecycleScope = scope{name: "lifecycle"}

// LastLifecycle returns the present run or the last one, nil if there never was one.
func (e *Engine) LastLifecycle() (*LifecycleRun, error) {
	row, err := e.r.Index().Row(tableJob, []byte(keyLifecycle))
	if errors.Is(err, index.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	run := &LifecycleRun{}
	if err := index.Unmarshal(row, run); err != nil {
		return nil, fmt.Errorf("state of the lifecycle run: %w", err)
	}
	return run, nil
}

// due reports whether a run is to be begun, or gone on with, by a server. A day far ahead was
// written by a clock that was wrong.
func (run *LifecycleRun) due(opt *Lifecycle, now time.Time) bool {
	day := opt.Calendar.Start(now)
	switch {
	case run == nil:
		return true
	case run.Finished == 0 && run.Server != opt.Server && now.UnixNano()-run.Renewed < int64(lifecycleLease) && run.Renewed <= now.UnixNano()+int64(lifecycleLease):
		return false
	case run.Finished == 0 || opt.Force:
		return true
	}
	return run.Day < day.UnixNano() || run.Day > day.Add(opt.Calendar.Length()).UnixNano()
}

// LifecycleDue reports whether RunLifecycle has something to do.
func (e *Engine) LifecycleDue(opt *Lifecycle) (bool, error) {
	run, err := e.LastLifecycle()
	return err == nil && run.due(opt, e.r.Now()), err
}

// RunLifecycle carries out the rules of all buckets, once a day: it goes through the
// versions they are for, and through uploads, in small commits, each of which decides
// anew. What a lock forbids is left. A run that was cut off is gone on with, by any server;
// to do something twice changes nothing. ErrTaken when another server is at it, or was
// faster; the end of ctx ends the run between two commits.
func (e *Engine) RunLifecycle(ctx context.Context, opt *Lifecycle) (*LifecycleRun, error) {
	w := &lifecycleWork{e: e, opt: opt, run: &LifecycleRun{Server: opt.Server, Started: e.r.Now().UnixNano()}}
	if opt.Bucket != "" || opt.DryRun {
		w.alone = true
	} else if err := w.claim(); err != nil {
		return nil, err
	}
	buckets, err := e.Buckets()
	if err != nil {
		return nil, err
	}
	if opt.Bucket != "" {
		b, err := e.Bucket(opt.Bucket)
		if err != nil {
			return nil, err
		}
		buckets = []*Bucket{b}
	}
	for _, b := range buckets {
		if b.Name < w.run.Bucket {
			continue
		}
		rules, err := opt.Rules(b)
		if err != nil {
			e.opt.Log(fmt.Sprintf("rules of bucket %s: %v; they are left out", b.Name, err))
			continue
		}
		if rules == nil || len(rules.List) == 0 {
			continue
		}
		if err := w.bucket(ctx, b, rules); err != nil && !errors.Is(err, ErrNoBucket) {
			return w.run, fmt.Errorf("lifecycle of bucket %s: %w", b.Name, err)
		}
	}
	w.run.Bucket, w.run.Key = "", nil
	return w.run, w.save(true)
}

// lifecycleWork is a run under way.
type lifecycleWork struct {
	e     *Engine
	opt   *Lifecycle
	run   *LifecycleRun
	alone bool // nobody is told how far it is
}

// claim takes the run of the day.
func (w *lifecycleWork) claim() error {
	return w.e.propose(w.e.ctx, &proposal{
		scopes: []scope{lifecycleScope},
		decide: func(d *decision) error {
			old, err := w.e.LastLifecycle()
			if err != nil {
				return err
			}
			now := time.Unix(0, d.now)
			if !old.due(w.opt, now) {
				return fmt.Errorf("lifecycle run: %w", ErrTaken)
			}
			run := LifecycleRun{Day: w.opt.Calendar.Start(now).UnixNano(), Server: w.opt.Server, Started: d.now, Before: old.LastFinished()}
			if old != nil && old.Finished == 0 && old.Day == run.Day {
				run = *old
				run.Server = w.opt.Server
			}
			run.Renewed = d.now
			w.run = &run
			return d.putLifecycle(&run)
		},
	})
}

// save notes how far the run is, and gives a sign of life. ErrTaken when another server has
// taken it over meanwhile.
func (w *lifecycleWork) save(finished bool) error {
	if w.alone {
		return nil
	}
	return w.e.propose(w.e.ctx, &proposal{
		scopes: []scope{lifecycleScope},
		decide: func(d *decision) error {
			now, err := w.e.LastLifecycle()
			if err != nil {
				return err
			}
			if now == nil || now.Server != w.opt.Server || now.Day != w.run.Day {
				return fmt.Errorf("lifecycle run: %w", ErrTaken)
			}
			w.run.Renewed = d.now
			if finished {
				w.run.Finished = d.now
			}
			return d.putLifecycle(w.run)
		},
	})
}

func (d *decision) putLifecycle(run *LifecycleRun) error {
	value, err := index.Marshal(run)
	if err != nil {
		return fmt.Errorf("state of the lifecycle run: %w", err)
	}
	d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableJob, Key: []byte(keyLifecycle), Value: value})
	return nil
}

// passed notes that a page of a bucket is done, and saves that now and then. More versions of
// its last key may follow.
func (w *lifecycleWork) passed(bucket string, page *index.Listing) error {
	for _, entry := range slices.Backward(page.Entries) {
		if key := entry.Version.Key; string(key) != page.NextAfter {
			w.run.Bucket, w.run.Key = bucket, key
			break
		}
	}
	if w.e.r.Now().UnixNano()-w.run.Renewed < int64(lifecycleSign) {
		return nil
	}
	return w.save(false)
}
