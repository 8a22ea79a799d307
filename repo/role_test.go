package repo

import (
	"bytes"
	"errors"
	"testing"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
)

// Each role can do what docs/format.md, section 5, says, and no more; a write key and a
// full key share a cache directory without harm.
func TestRoles(t *testing.T) {
	r, store, _, opt := newRepo(t)
	before := random(60, 200_000)
	hb := save(t, r, nil, before)[0]
	open := func(role index.Role) *Repository {
		t.Helper()
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		if err := AddKey(t.Context(), r, role, "k", id.Recipient()); err != nil {
			t.Fatal(err)
		}
		return openRepo(t, store, id, opt)
	}
	w, m := open(index.Write), open(index.Meta)

	data := random(61, 200_000)
	h := save(t, w, nil, data)[0]
	if err := w.OpenContent(t.Context(), h).rd(); !errors.Is(err, ErrRole) {
		t.Errorf("write key reads data: %v", err)
	}
	if err := m.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.OpenContent(t.Context(), h).rd(); !errors.Is(err, ErrRole) {
		t.Errorf("meta key reads data: %v", err)
	}
	if _, err := m.Extents(t.Context(), h, 0); err != nil {
		t.Errorf("meta key cannot read lists: %v", err)
	}
	for _, limited := range []*Repository{w, m} {
		if err := AddKey(t.Context(), limited, index.Full, "x", nil); !errors.Is(err, ErrRole) {
			t.Errorf("a %s key adds keys: %v", limited.ring.Role, err)
		}
	}
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readAll(t, r, h), data) || !bytes.Equal(readAll(t, r, hb), before) {
		t.Error("the full key does not see what the write key stored")
	}
	// A removed key is refused by everyone who folds the log.
	if err := r.RemoveKey(t.Context(), "write", "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Begin(t.Context()); !errors.Is(err, ErrRole) {
		t.Errorf("a removed key begins a session: %v", err)
	}
	if err := r.RemoveKey(t.Context(), "full", "default"); !errors.Is(err, ErrRole) {
		t.Errorf("the last full key can be removed: %v", err)
	}
}

// rd reads the whole content.
func (rd *Reader) rd() error {
	_, err := rd.WriteTo(new(bytes.Buffer))
	return err
}
