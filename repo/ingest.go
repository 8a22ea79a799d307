package repo

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
)

// IngestOptions of Session.Ingest.
type IngestOptions struct {
	Stream   string     // of the packs: which source or bucket fills them
	Workers  int        // GOMAXPROCS when 0
	Level    pack.Level // of compression
	PackSize int64      // sealed size at which a data pack is closed; 32 MiB when 0
	Days     uint64     // expected lifetime, 0 when unknown

	// Streams is how many streams may be stored at a time; others wait. Each holds up to
	// two slabs of memory. Workers+1 when 0.
	Streams  int
	SlabSize int // bytes; 4 MiB when 0, and at least two of the largest chunks
}

const (
	defaultPackSize = 32 << 20
	maxPackSize     = 240 << 20
	maxPackChunks   = 1 << 16
	embedLimit      = 64 << 10  // sealed size up to which a pack travels in the commit
	commitEvery     = 128 << 20 // sealed bytes of finished packs after which they are committed,
	commitChunks    = 1 << 17   // or chunks in them,
	commitAfter     = 20 * time.Second
	packsInFlight   = 3       // packs that are being made durable beside the work
	slabSize        = 4 << 20 // at least; and at least two chunks
)

// Ingest turns streams into chunks of a session: workers hash, compress and seal, each
// into a pack of its own. Memory is bounded by the number of workers: per worker two
// slabs, one frame and what is in flight to the store.
type Ingest struct {
	s   *Session
	opt IngestOptions

	ctx     context.Context // ends with the first failure, which is its cause
	cancel  context.CancelCauseFunc
	jobs    chan func(*Worker) error
	turns   []chan chan error // one per worker: close the open pack, and answer
	running sync.WaitGroup
	flight  sync.WaitGroup // packs that are being made durable
	landing landings
	slots   chan struct{} // bounds them
	slabs   chan []byte   // nil: not made yet
	streams chan struct{} // bounds the streams that hold slabs
	meta    *Worker
	metaMu  sync.Mutex
	commit  sync.Mutex

	chunks, newChunks  atomic.Int64
	bytesNew, bytesRaw atomic.Int64
}

// IngestStats count what an Ingest did so far.
type IngestStats struct {
	Chunks, NewChunks int64 // data chunks seen, and those stored
	Bytes, BytesNew   int64 // the same in bytes, before compression
}

// Worker stores chunks into a pack. It belongs to one goroutine at a time.
type Worker struct {
	in     *Ingest
	kind   pack.Kind
	rcpt   age.Recipient
	hasher *chunk.Hasher
	comp   *pack.Compressor
	out    *packOut
	w      *pack.Writer

	spans []span
	ids   []chunk.ID
	locs  []index.Location
	store []bool
	buf   []byte
}

// packOut receives a sealed pack: in memory while it is small, then in the store.
type packOut struct {
	in   *Ingest
	id   pack.ID
	buf  []byte
	file tier.Writer
}

func (o *packOut) Write(p []byte) (int, error) {
	if o.file == nil && len(o.buf)+len(p) <= embedLimit {
		o.buf = append(o.buf, p...)
		return len(p), nil
	}
	if o.file == nil {
		f, err := o.in.s.r.store.Create(o.in.ctx, o.id.Name())
		if err != nil {
			return 0, err
		}
		o.file = f
		if _, err := f.Write(o.buf); err != nil {
			return 0, err
		}
		o.buf = nil
	}
	return o.file.Write(p)
}

// Ingest starts workers. Close must be called, after a failure too.
func (s *Session) Ingest(ctx context.Context, opt IngestOptions) (*Ingest, error) {
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	if opt.PackSize <= 0 {
		opt.PackSize = defaultPackSize
	}
	opt.PackSize = min(opt.PackSize, maxPackSize)
	if opt.Streams <= 0 {
		opt.Streams = opt.Workers + 1
	}
	if opt.SlabSize <= 0 {
		opt.SlabSize = slabSize
	}
	opt.SlabSize = max(opt.SlabSize, 2*s.r.ring.cutter.Profile().Max+2*minHole)
	in := &Ingest{
		s: s, opt: opt,
		jobs:  make(chan func(*Worker) error),
		slots: make(chan struct{}, packsInFlight),
		// Each stream holds one slab while it waits for another.
		slabs:   make(chan []byte, opt.Workers+opt.Streams+1),
		streams: make(chan struct{}, opt.Streams),
	}
	in.ctx, in.cancel = context.WithCancelCause(ctx)
	for range cap(in.slabs) {
		in.slabs <- nil // made when first needed
	}
	var err error
	if in.meta, err = in.newWorker(pack.Meta); err != nil {
		return nil, err
	}
	workers := make([]*Worker, opt.Workers)
	for i := range workers {
		if workers[i], err = in.newWorker(pack.Data); err != nil {
			return nil, err
		}
	}
	for _, w := range workers {
		turn := make(chan chan error)
		in.turns = append(in.turns, turn)
		in.running.Go(func() { w.run(turn) })
	}
	return in, nil
}

func (in *Ingest) newWorker(kind pack.Kind) (*Worker, error) {
	comp, err := pack.NewCompressor(in.opt.Level)
	if err != nil {
		return nil, err
	}
	ring := in.s.r.ring
	w := &Worker{in: in, kind: kind, comp: comp, rcpt: ring.dataRcpt, hasher: chunk.NewHasher(ring.dataKey)}
	if kind == pack.Meta {
		w.rcpt, w.hasher = ring.metaRcpt, chunk.NewHasher(ring.metaKey)
	}
	return w, nil
}

func (w *Worker) run(turn chan chan error) {
	for {
		select {
		case answer := <-turn:
			err := w.closePack()
			if err != nil {
				w.in.cancel(err)
			}
			answer <- err
		case <-w.in.ctx.Done():
			w.abort()
			return
		case job, ok := <-w.in.jobs:
			if !ok {
				if err := w.closePack(); err != nil {
					w.in.cancel(err)
				}
				return
			}
			if err := job(w); err != nil {
				w.in.cancel(err)
			}
		}
	}
}

// Do hands a job to a worker, waiting until one is free. A job that fails ends the
// whole Ingest; it must not call Do, Stream or Close. The error of Do is that of the
// job that failed first.
func (in *Ingest) Do(job func(*Worker) error) error {
	select {
	case in.jobs <- job:
		return nil
	case <-in.ctx.Done():
		return context.Cause(in.ctx)
	}
}

// Close waits for the work and makes every pack ready for the next commit. It returns
// the first error of any job, or the cause why the context ended.
func (in *Ingest) Close() error {
	close(in.jobs)
	in.running.Wait()
	in.metaMu.Lock()
	defer in.metaMu.Unlock()
	err := context.Cause(in.ctx)
	if err == nil {
		err = in.meta.closePack()
	}
	in.meta.abort()
	in.flight.Wait()
	if err == nil {
		err = context.Cause(in.ctx)
	}
	in.cancel(err)
	return err
}

// Context ends with the first failure, which is its cause, and when the Ingest is closed.
func (in *Ingest) Context() context.Context { return in.ctx }

// Stats may be called at any time.
func (in *Ingest) Stats() IngestStats {
	return IngestStats{
		Chunks: in.chunks.Load(), NewChunks: in.newChunks.Load(),
		Bytes: in.bytesRaw.Load(), BytesNew: in.bytesNew.Load(),
	}
}

// add stores the chunks of spans in data that are new, and fills w.ids. Where known is
// not nil, it holds the IDs already.
func (w *Worker) add(data []byte, spans []span, known []chunk.ID) error {
	n := len(spans)
	w.ids = append(w.ids[:0], known...)
	if known == nil {
		for _, sp := range spans {
			w.ids = append(w.ids, w.hasher.ID(data[sp.off:sp.off+sp.n]))
		}
	}
	if cap(w.locs) < n {
		w.locs, w.store = make([]index.Location, n), make([]bool, n)
	}
	if err := w.in.s.claim(w.ids, w.locs[:n], w.store[:n]); err != nil {
		return err
	}
	for i, sp := range spans {
		w.count(w.store[i], sp.n)
		if !w.store[i] {
			continue
		}
		if err := w.put(w.ids[i], data[sp.off:sp.off+sp.n]); err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) count(isNew bool, n int) {
	if isNew {
		w.in.bytesNew.Add(int64(n))
	}
	if w.kind == pack.Meta {
		return
	}
	w.in.chunks.Add(1)
	w.in.bytesRaw.Add(int64(n))
	if isNew {
		w.in.newChunks.Add(1)
	}
}

// put adds one chunk to the open pack, opening and closing packs as needed.
func (w *Worker) put(id chunk.ID, data []byte) error {
	if w.w == nil {
		s := w.in.s
		w.out = &packOut{in: w.in, id: pack.NewID(s.id, s.counter.Add(1))}
		var err error
		w.w, err = pack.NewWriter(w.out, pack.Options{ID: w.out.id, Kind: w.kind, Recipient: w.rcpt, Compressor: w.comp})
		if err != nil {
			return fmt.Errorf("begin pack %s: %w", w.out.id, err)
		}
	}
	if err := w.w.Add(id, data); err != nil {
		return err // names the pack
	}
	if w.w.Size() >= w.in.opt.PackSize || w.w.Chunks() >= maxPackChunks {
		return w.closePack()
	}
	return nil
}

// closePack ends the open pack. Making it durable goes on beside the work.
func (w *Worker) closePack() error {
	if w.w == nil {
		return nil
	}
	out := w.out
	sealed, err := w.w.Close()
	if err != nil {
		w.abort()
		return fmt.Errorf("end pack %s: %w", out.id, err)
	}
	w.w, w.out = nil, nil
	f := finished{blob: out.buf, record: index.PackRecord{
		ID: sealed.ID, Kind: sealed.Kind, Stream: w.in.opt.Stream, Size: sealed.Size, Digest: sealed.Digest,
		AgeHeader: sealed.AgeHeader, Directory: sealed.Directory, Days: w.in.opt.Days,
	}}
	if out.file == nil {
		w.in.s.finish(f)
		return nil
	}
	w.in.slots <- struct{}{}
	done := w.in.landing.begin()
	w.in.flight.Go(func() {
		defer func() { <-w.in.slots }()
		defer done()
		if err := w.in.land(out, f); err != nil {
			w.in.cancel(err)
		}
	})
	return nil
}

// Flush makes every chunk whose Stream, Content or Meta returned before the call ready
// for the next commit of the session. Streams go on beside it.
func (in *Ingest) Flush() error {
	in.metaMu.Lock()
	err := in.meta.closePack()
	in.metaMu.Unlock()
	if err != nil {
		in.cancel(err)
	}
	answer := make(chan error, len(in.turns))
	for _, turn := range in.turns {
		select {
		case turn <- answer:
		case <-in.ctx.Done():
			return context.Cause(in.ctx)
		}
	}
	for range in.turns {
		if e := <-answer; err == nil {
			err = e
		}
	}
	in.landing.wait()
	if err == nil {
		err = context.Cause(in.ctx)
	}
	return err
}

// landings are the packs that are being made durable, so that one can wait for those
// which are now, and not for those that follow.
type landings struct {
	mu   sync.Mutex
	next int
	open map[int]chan struct{}
}

func (l *landings) begin() (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[int]chan struct{}{}
	}
	n, c := l.next, make(chan struct{})
	l.next++
	l.open[n] = c
	return func() {
		l.mu.Lock()
		delete(l.open, n)
		l.mu.Unlock()
		close(c)
	}
}

func (l *landings) wait() {
	l.mu.Lock()
	now := make([]chan struct{}, 0, len(l.open))
	for _, c := range l.open {
		now = append(now, c)
	}
	l.mu.Unlock()
	for _, c := range now {
		<-c
	}
}

// land makes a pack durable, and commits when enough of them wait: a backup that is
// interrupted later does not store them again.
func (in *Ingest) land(out *packOut, f finished) error {
	f.blob = nil
	if err := out.file.Commit(); err != nil {
		return fmt.Errorf("write pack %s: %w", out.id, err)
	}
	if !in.s.finish(f) || !in.commit.TryLock() {
		return nil
	}
	defer in.commit.Unlock()
	if err := in.s.Commit(in.ctx, Ops{}); err != nil {
		return fmt.Errorf("commit packs: %w", err)
	}
	return nil
}

// abort leaves nothing of the open pack.
func (w *Worker) abort() {
	if w.out != nil && w.out.file != nil {
		_ = w.out.file.Abort()
	}
	w.w, w.out = nil, nil
}

// Meta stores a metadata chunk and returns its ID. data is not kept.
func (in *Ingest) Meta(data []byte) (chunk.ID, error) {
	in.metaMu.Lock()
	defer in.metaMu.Unlock()
	if err := context.Cause(in.ctx); err != nil {
		return chunk.ID{}, err
	}
	if err := in.meta.add(data, []span{{n: len(data)}}, nil); err != nil {
		in.cancel(err)
		return chunk.ID{}, err
	}
	return in.meta.ids[0], nil
}

// Content stores a stream that is in memory. data is not kept.
func (w *Worker) Content(data []byte) (Content, error) {
	if len(data) == 0 {
		return Content{}, nil // the only inline content written: others would lie in metadata
	}
	sp := splitter{cutter: w.in.s.r.ring.cutter}
	w.spans, _ = sp.split(w.spans[:0], data, true, 0)
	var chunks []span
	for _, s := range w.spans {
		if !s.hole {
			chunks = append(chunks, s)
		}
	}
	if err := w.add(data, chunks, nil); err != nil {
		return Content{}, err
	}
	if len(w.spans) == 1 && len(chunks) == 1 {
		return newContent(formChunk, int64(len(data)), w.ids[0][:]), nil
	}
	l := listBuilder{put: w.in.Meta}
	next := 0
	for _, s := range w.spans {
		var id chunk.ID
		if !s.hole {
			id = w.ids[next]
			next++
		}
		if err := l.add(0, int64(s.n), id); err != nil {
			return Content{}, err
		}
	}
	return l.finish()
}

// Buffer returns scratch memory of at least n bytes that stays valid until the job ends.
func (w *Worker) Buffer(n int) []byte {
	if cap(w.buf) < n {
		w.buf = make([]byte, n)
	}
	return w.buf[:n]
}

// Abort ends the Ingest for cause without storing what is under way. Streams that still
// run return the cause.
func (in *Ingest) Abort(cause error) {
	in.cancel(cause)
	in.running.Wait()
	in.metaMu.Lock()
	defer in.metaMu.Unlock()
	in.meta.abort()
	in.flight.Wait()
}
