package repo

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"

	"filippo.io/age"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
)

// openPacks bounds the packs whose keys are kept unwrapped.
const openPacks = 128

// packCache keeps packs open, least recently used last.
type packCache struct {
	r     *Repository
	mu    sync.Mutex
	open  map[index.PackNum]*list.Element
	order list.List
}

type openPack struct {
	num    index.PackNum
	once   sync.Once
	reader *pack.Reader
	err    error
}

// source is a pack as an io.ReaderAt. It outlives the call that opened it.
type source struct {
	r    *Repository
	name string
	base int64
}

func (s source) ReadAt(p []byte, off int64) (int, error) {
	return s.r.store.ReadAt(context.Background(), s.name, p, s.base+off)
}

func (c *packCache) get(num index.PackNum) (*pack.Reader, error) {
	c.mu.Lock()
	if c.open == nil {
		c.open = map[index.PackNum]*list.Element{}
	}
	e, ok := c.open[num]
	if ok {
		c.order.MoveToFront(e)
	} else {
		e = c.order.PushFront(&openPack{num: num})
		c.open[num] = e
		if c.order.Len() > openPacks {
			last := c.order.Remove(c.order.Back()).(*openPack)
			delete(c.open, last.num)
		}
	}
	c.mu.Unlock()
	p := e.Value.(*openPack)
	p.once.Do(func() { p.reader, p.err = c.r.openPack(num) })
	if p.err != nil {
		c.mu.Lock()
		if c.open[num] == e {
			delete(c.open, num)
			c.order.Remove(e)
		}
		c.mu.Unlock()
	}
	return p.reader, p.err
}

// identity returns the identity that opens packs of a kind.
func (k *keyring) identity(kind pack.Kind) (age.Identity, error) {
	id := k.dataID
	if kind == pack.Meta {
		id = k.metaID
	}
	if id == nil {
		return nil, fmt.Errorf("key slot %s has role %s and cannot read %s packs: %w", k.Name, k.Role, kind, ErrRole)
	}
	return id, nil
}

func (r *Repository) openPack(num index.PackNum) (*pack.Reader, error) {
	p, err := r.index.Pack(num)
	if err != nil {
		return nil, err
	}
	rec := &p.Record
	id, err := r.ring.identity(rec.Kind)
	if err != nil {
		return nil, err
	}
	name, base := p.Name()
	fail := func(err error) error { return r.packError(p, err) }
	key, err := pack.OpenKey(rec.AgeHeader, id)
	if err != nil {
		return nil, fail(err)
	}
	reader, err := pack.NewReaderWithKey(source{r, name, base}, rec.Size, int64(len(rec.AgeHeader)), key)
	if err != nil {
		return nil, fail(err)
	}
	if reader.ID() != rec.ID || reader.Kind() != rec.Kind {
		return nil, fail(fmt.Errorf("it is %s pack %s: %w", reader.Kind(), reader.ID(), pack.ErrCorrupt))
	}
	return reader, nil
}

// packError names the file of a pack, and says what to do when it is damaged.
func (r *Repository) packError(p *index.Pack, err error) error {
	name, _ := p.Name()
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrRole) {
		return err
	}
	return fmt.Errorf("%s in %s: %w: %w; run firn check --read-data to see what it holds, and bring the file back from a copy of the repository, or run firn repair",
		name, r.store, ErrDamaged, err)
}

// frameKey names a frame of a pack.
type frameKey struct {
	pack index.PackNum
	no   int
}

// frameCache keeps decoded frames up to a number of bytes.
type frameCache struct {
	mu     sync.Mutex
	limit  int64
	size   int64
	frames map[frameKey]*list.Element
	order  list.List
}

type cachedFrame struct {
	key  frameKey
	data []byte
}

func (c *frameCache) get(key frameKey) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.frames[key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedFrame).data
}

func (c *frameCache) put(key frameKey, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frames == nil {
		c.frames = map[frameKey]*list.Element{}
	}
	if _, ok := c.frames[key]; ok {
		return
	}
	c.frames[key] = c.order.PushFront(&cachedFrame{key, data})
	for c.size += int64(len(data)); c.size > c.limit && c.order.Len() > 1; {
		last := c.order.Remove(c.order.Back()).(*cachedFrame)
		delete(c.frames, last.key)
		c.size -= int64(len(last.data))
	}
}

var decompressors = sync.Pool{New: func() any {
	d, err := pack.NewDecompressor()
	if err != nil {
		panic("repo: " + err.Error()) // options are constant
	}
	return d
}}

// frame returns a decoded frame, which is shared and must not be changed.
func (r *Repository) frame(loc index.Location) ([]byte, error) {
	key := frameKey{loc.Pack, loc.FrameNo}
	if data := r.frames.get(key); data != nil {
		return data, nil
	}
	dec := decompressors.Get().(*pack.Decompressor)
	defer decompressors.Put(dec)
	data, err := r.decode(make([]byte, 0, loc.Frame.Plain+16), loc, dec)
	if err != nil {
		return nil, err
	}
	r.frames.put(key, data)
	return data, nil
}

// ReadMeta returns a metadata chunk: a list or a block of a tree. The slice is shared
// and must not be changed.
func (r *Repository) ReadMeta(ctx context.Context, id chunk.ID) ([]byte, error) {
	return r.readChunk(ctx, id, r.ring.metaKey)
}

// readChunk returns a chunk after checking its ID, from any of its locations that can
// be read, also from a pack that was dropped and is still there.
func (r *Repository) readChunk(ctx context.Context, id chunk.ID, key chunk.Key) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	data, err := r.readLocated(id, key)
	if err == nil {
		return data, nil
	}
	if data, derr := r.readDropped(id, key); derr == nil && data != nil {
		return data, nil
	}
	return nil, err
}

// readLocated returns a chunk from any of its locations.
func (r *Repository) readLocated(id chunk.ID, key chunk.Key) ([]byte, error) {
	loc := make([]index.Location, 1)
	if err := r.index.Locate([]chunk.ID{id}, loc); err != nil {
		return nil, err
	}
	if loc[0].Pack == 0 {
		return nil, nowhereError(id)
	}
	data, err := r.chunkAt(id, loc[0], key)
	if err == nil {
		return data, nil
	}
	others, lerr := r.index.Locations(id)
	if lerr != nil {
		return nil, errors.Join(err, lerr)
	}
	for _, l := range others {
		if l.Pack == loc[0].Pack && l.Slot == loc[0].Slot {
			continue
		}
		if data, oerr := r.chunkAt(id, l, key); oerr == nil {
			return data, nil
		}
	}
	return nil, err
}

func (r *Repository) chunkAt(id chunk.ID, loc index.Location, key chunk.Key) ([]byte, error) {
	data, err := r.frame(loc)
	if err != nil {
		return nil, err
	}
	return r.cutChunk(data, id, loc, chunk.NewHasher(key))
}

// cutChunk takes a chunk out of its frame and checks its ID.
func (r *Repository) cutChunk(frame []byte, id chunk.ID, loc index.Location, h *chunk.Hasher) ([]byte, error) {
	if loc.Offset+loc.Length > len(frame) {
		return nil, fmt.Errorf("chunk %s: %w: it lies outside of its frame", id, ErrDamaged)
	}
	data := frame[loc.Offset : loc.Offset+loc.Length : loc.Offset+loc.Length]
	if h.ID(data) != id {
		p, err := r.index.Pack(loc.Pack)
		if err != nil {
			return nil, err
		}
		return nil, r.packError(p, fmt.Errorf("chunk %s hashes to something else", id))
	}
	return data, nil
}
