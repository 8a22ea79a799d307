package repo

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/firnstore/firn/chunk"
)

func FuzzParseConfig(f *testing.F) {
	f.Add(formatConfig("5f0f6c1e0d1b4ab1a1f4d6c8c0ffee00"))
	f.Add([]byte("firn repository\nversion 2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := parseConfig(b)
		if err == nil && string(formatConfig(id)) != string(b) {
			t.Errorf("%q is read as %q, which is written otherwise", b, id)
		}
	})
}

func FuzzParseSlot(f *testing.F) {
	s, err := newSlot(Options{Now: time.Now, Rand: zeroReader{}}, InitOptions{Profile: chunk.DefaultProfile(), SlotName: "default"})
	if err != nil {
		f.Fatal(err)
	}
	b, err := json.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":"firn key slot","version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseSlot(b)
		if err == nil && (k.cutter == nil || k.metaRcpt == nil || k.role == 0) {
			t.Errorf("%q makes a key ring that cannot be used", b)
		}
	})
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzParseContent(f *testing.F) {
	f.Add(make([]byte, 41))
	c := newContent(formChunk, 100, make([]byte, 32))
	f.Add(c[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseContent(b)
		if err != nil {
			return
		}
		if c.Size() < 0 || string(c[:]) != string(b) {
			t.Errorf("handle %x has size %d", b, c.Size())
		}
		if data, ok := c.Inline(); ok && int64(len(data)) != c.Size() {
			t.Errorf("handle %x: %d bytes inline", b, len(data))
		}
	})
}

func FuzzParseList(f *testing.F) {
	var lists [][]byte
	l := listBuilder{put: func(b []byte) (chunk.ID, error) {
		lists = append(lists, append([]byte(nil), b...))
		return chunk.ID{1}, nil
	}}
	for i := range 300 {
		if err := l.add(0, int64(i+1), chunk.ID{byte(i), 1}); err != nil {
			f.Fatal(err)
		}
	}
	if _, err := l.finish(); err != nil {
		f.Fatal(err)
	}
	f.Add(lists[0], 0, l.size)
	f.Add([]byte{'L', 1, 0, 0}, 0, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, level int, span int64) {
		entries, err := parseList(chunk.ID{}, b, level, span)
		if err != nil {
			return
		}
		var sum int64
		for ; len(entries) > 0; entries = entries[listEntry:] {
			sum += entrySpan(entries)
		}
		if sum != span {
			t.Errorf("list of %d bytes spans %d, not %d", len(b), sum, span)
		}
	})
}
