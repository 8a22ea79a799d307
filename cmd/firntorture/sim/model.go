package sim

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"github.com/firnstore/firn/index"
)

// never is the end of an operation that has not ended, or whose effect may come later.
const never = int64(1) << 62

// model knows what was asked for and what was answered. Its registers are linearizable:
// an operation has its effect, if any, at one moment between its beginning and its end.
type model struct {
	mu       sync.Mutex
	step     func() int64
	late     bool // what was not answered may take effect at any later time
	keys     map[string]*register
	versions map[index.VersionID]*versionState
	snaps    map[string]*snapState
	settings map[string]*register
	parts    []*part
	saves    []*save
	forgets  []forgetting
}

// register is something that has one value at a time.
type register struct{ writes []*write }

// write is an operation that sets a register.
type write struct {
	start, end int64 // steps
	acked      bool
	value      any // nil: absent
	void       bool
}

// versionState is a version in a bucket that keeps all of them.
type versionState struct {
	bucket, key string
	data        []byte
	there       register // nil or true
}

// snapState is a snapshot whose ID is known.
type snapState struct {
	tree  tree
	there register
}

// save is a backup that has not been acknowledged, and perhaps never will be.
type save struct {
	tree tree
	w    *write
}

// forgetting is a forget, which can meet snapshots that nobody was told of yet.
type forgetting struct {
	ids []string // nil: of any
	w   *write
}

// part is one of an upload that is not completed.
type part struct {
	data  []byte
	there register
}

// tree is what a snapshot holds: contents by path below the top.
type tree map[string][]byte

func (t tree) equal(o tree) bool { return maps.EqualFunc(t, o, bytes.Equal) }

func newModel(step func() int64) *model {
	return &model{step: step, keys: map[string]*register{}, versions: map[index.VersionID]*versionState{},
		snaps: map[string]*snapState{}, settings: map[string]*register{}}
}

// begin notes that a value is asked for.
func (m *model) begin(r *register, value any) *write {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.beginLocked(r, value)
}

func (m *model) beginLocked(r *register, value any) *write {
	w := &write{start: m.step(), end: never, value: value}
	r.writes = append(r.writes, w)
	return w
}

// outcome of an operation.
type outcome int

const (
	acked   outcome = iota
	unknown         // it may have had its effect, or not
	void            // it had none
)

// end notes how an operation ended.
func (m *model) end(w *write, o outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endLocked(w, o)
}

func (m *model) endLocked(w *write, o outcome) {
	switch o {
	case acked:
		w.acked, w.end = true, m.step()
	case unknown:
		if !m.late {
			w.end = m.step()
		}
	case void:
		w.void = true
	}
}

// allows reports whether a register may have a value for which match is true. A register
// that nobody wrote is absent.
func (r *register) allows(match func(value any) bool) bool {
	first := &write{start: -1, end: -1, acked: true}
	for _, w := range append([]*write{first}, r.writes...) {
		_, open := w.value.(anything)
		if !w.void && (open || match(w.value)) && !r.superseded(w) {
			return true
		}
	}
	return false
}

// anything is the value of a register of which it is left open what it reads as.
type anything struct{}

// superseded reports whether a later write was acknowledged.
func (r *register) superseded(w *write) bool {
	return slices.ContainsFunc(r.writes, func(o *write) bool { return o.acked && o.start > w.end })
}

func absent(v any) bool  { return v == nil }
func present(v any) bool { return v != nil }

func equals(data []byte) func(any) bool {
	return func(v any) bool {
		b, ok := v.([]byte)
		return ok && bytes.Equal(b, data)
	}
}

// tried reports whether anybody ever asked for the value.
func (r *register) tried(match func(any) bool) bool {
	return r != nil && slices.ContainsFunc(r.writes, func(w *write) bool { return !w.void && match(w.value) })
}

// key returns the register of what a key reads as.
func (m *model) key(bucket, key string) *register {
	m.mu.Lock()
	defer m.mu.Unlock()
	return registerOf(m.keys, bucket+"\x00"+key)
}

func (m *model) setting(bucket string) *register {
	m.mu.Lock()
	defer m.mu.Unlock()
	return registerOf(m.settings, bucket)
}

func registerOf(of map[string]*register, name string) *register {
	r := of[name]
	if r == nil {
		r = &register{}
		of[name] = r
	}
	return r
}

// kept notes a version of a bucket that keeps all of them, which was just acknowledged.
func (m *model) kept(v *index.Version, data []byte, start int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &versionState{bucket: v.Bucket, key: string(v.Key), data: data}
	s.there.writes = []*write{{start: start, end: m.step(), acked: true, value: true}}
	m.versions[v.ID] = s
}

// beginSave notes a backup.
func (m *model) beginSave(t tree) *save {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &save{tree: t, w: &write{start: m.step(), end: never}}
	m.saves = append(m.saves, s)
	return s
}

// endSave notes how it ended; id is "" if nobody was told of a snapshot.
func (m *model) endSave(s *save, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id == "" {
		return // its snapshot may be there, and forgotten by a policy at any time
	}
	s.w.void = true
	st := &snapState{tree: s.tree}
	st.there.writes = []*write{{start: s.w.start, end: m.step(), acked: true, value: true}}
	for _, f := range m.forgets {
		if f.w.end >= s.w.start && (f.ids == nil || slices.Contains(f.ids, id)) {
			st.there.writes = append(st.there.writes, &write{start: f.w.start, end: never})
		}
	}
	m.snaps[id] = st
}

// beginForget notes a forget of snapshots with these IDs, or of any if there are none.
func (m *model) beginForget(ids []string) forgetting {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := forgetting{ids, &write{start: m.step(), end: never}}
	m.forgets = append(m.forgets, f)
	return f
}

// beginEach begins a write on the snapshots with these IDs, or on all if there are none.
func (m *model) beginEach(ids []string, value any) map[string]*write {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ids == nil {
		ids = slices.Collect(maps.Keys(m.snaps))
	}
	writes := map[string]*write{}
	for _, id := range ids {
		if s := m.snaps[id]; s != nil {
			writes[id] = m.beginLocked(&s.there, value)
		}
	}
	return writes
}

// endEach ends what beginEach began: for done it is acknowledged; for others it had no
// effect if the operation succeeded, and else nobody knows.
func (m *model) endEach(writes map[string]*write, done []string, o outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, w := range writes {
		switch {
		case o == acked && !slices.Contains(done, id):
			m.endLocked(w, void)
		default:
			m.endLocked(w, o)
		}
	}
}

// beginPart notes a part of an upload that is being put.
func (m *model) beginPart(data []byte) (*part, *write) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := &part{data: data}
	m.parts = append(m.parts, p)
	return p, m.beginLocked(&p.there, true)
}

// clone copies the model. Operations that are under way end in neither copy.
func (m *model) clone(step func() int64) *model {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := newModel(step)
	n.late = m.late
	for k, r := range m.keys {
		n.keys[k] = r.clone()
	}
	for k, r := range m.settings {
		n.settings[k] = r.clone()
	}
	for id, v := range m.versions {
		n.versions[id] = &versionState{v.bucket, v.key, v.data, *v.there.clone()}
	}
	for id, s := range m.snaps {
		n.snaps[id] = &snapState{s.tree, *s.there.clone()}
	}
	for _, p := range m.parts {
		n.parts = append(n.parts, &part{p.data, *p.there.clone()})
	}
	n.saves = slices.Clone(m.saves)
	n.forgets = slices.Clone(m.forgets)
	return n
}

func (r *register) clone() *register { return &register{slices.Clone(r.writes)} }
