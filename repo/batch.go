package repo

import (
	"context"
	"fmt"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
)

// Prepared is a content in memory, cut and named but not stored: what of storing it can be
// done before its turn comes.
type Prepared struct {
	Content Content
	data    []named // kept: they are parts of the bytes given to Prepare
	lists   []named
}

// named is a chunk and its ID.
type named struct {
	id   chunk.ID
	data []byte
}

// Prepare cuts data and names its chunks. data must not change until a Packer has taken
// the result.
func (r *Repository) Prepare(data []byte) (*Prepared, error) {
	p := &Prepared{}
	if len(data) == 0 {
		return p, nil
	}
	hasher := chunk.NewHasher(r.ring.dataKey)
	sp := splitter{cutter: r.ring.cutter}
	spans, _ := sp.split(nil, data, true, 0)
	if len(spans) == 1 && !spans[0].hole {
		id := hasher.ID(data)
		p.data = []named{{id, data}}
		p.Content = newContent(formChunk, int64(len(data)), id[:])
		return p, nil
	}
	metaHasher := chunk.NewHasher(r.ring.metaKey)
	l := listBuilder{put: func(list []byte) (chunk.ID, error) {
		list = append([]byte(nil), list...)
		id := metaHasher.ID(list)
		p.lists = append(p.lists, named{id, list})
		return id, nil
	}}
	for _, s := range spans {
		var id chunk.ID
		if !s.hole {
			piece := data[s.off : s.off+s.n]
			id = hasher.ID(piece)
			p.data = append(p.data, named{id, piece})
		}
		if err := l.add(0, int64(s.n), id); err != nil {
			return nil, err
		}
	}
	var err error
	p.Content, err = l.finish()
	return p, err
}

// Packer stores prepared contents into packs that only they share, for callers who want
// several of them in one commit. It is for one goroutine at a time.
type Packer struct {
	in   *Ingest // never runs workers: it holds what a Worker needs
	data *Worker
	seen map[chunk.ID]struct{} // in the packs of this batch
}

// Packer of the session. A Packer that has failed is not used again; neither is its
// session, if the failure was ErrDropped or ErrSealed.
func (s *Session) Packer(ctx context.Context, stream string, level pack.Level) (*Packer, error) {
	in := &Ingest{
		s: s, opt: IngestOptions{Stream: stream, Level: level, PackSize: defaultPackSize},
		slots: make(chan struct{}, packsInFlight),
	}
	in.ctx, in.cancel = context.WithCancelCause(ctx)
	var err error
	if in.meta, err = in.newWorker(pack.Meta); err != nil {
		return nil, err
	}
	p := &Packer{in: in, seen: map[chunk.ID]struct{}{}}
	p.data, err = in.newWorker(pack.Data)
	return p, err
}

// Add stores those chunks of a content that the index does not know.
func (p *Packer) Add(c *Prepared) error {
	if err := p.put(p.data, c.data); err != nil {
		return fmt.Errorf("store content: %w", err)
	}
	if err := p.put(p.in.meta, c.lists); err != nil {
		return fmt.Errorf("store chunk list: %w", err)
	}
	return nil
}

// put does not ask what the session has claimed elsewhere: what is claimed may come to
// nothing, and a second copy harms nobody.
func (p *Packer) put(w *Worker, chunks []named) error {
	if len(chunks) == 0 {
		return nil
	}
	s := p.in.s
	ids, locs := make([]chunk.ID, len(chunks)), make([]index.Location, len(chunks))
	for i := range chunks {
		ids[i] = chunks[i].id
	}
	if err := s.relied.locate(s.r.index, ids, locs); err != nil {
		return err
	}
	for i, c := range chunks {
		if locs[i].Pack != 0 {
			continue
		}
		if _, ok := p.seen[c.id]; ok {
			continue
		}
		if err := w.put(c.id, c.data); err != nil {
			return err
		}
		p.seen[c.id] = struct{}{}
	}
	return nil
}

// Finish makes what was added ready for the next commit of the session, and the Packer
// for the next batch.
func (p *Packer) Finish() error {
	clear(p.seen)
	err := p.data.closePack()
	if err == nil {
		err = p.in.meta.closePack()
	}
	p.in.flight.Wait()
	if err == nil {
		err = context.Cause(p.in.ctx)
	}
	return err
}

// Close lets go of what a failed batch left.
func (p *Packer) Close() {
	p.data.abort()
	p.in.meta.abort()
	p.in.flight.Wait()
	p.in.cancel(nil)
}

// Join returns the content that consists of parts, one behind the other, without reading
// them: it stores lists that point to their chunks and lists.
func (in *Ingest) Join(parts func(yield func(Content) error) error) (Content, error) {
	l := listBuilder{put: in.Meta}
	if err := parts(l.join); err != nil {
		return Content{}, err
	}
	return l.finish()
}
