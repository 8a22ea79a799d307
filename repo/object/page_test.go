package object

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/firnstore/firn/index"
)

func (w *world) pages(bucket string, q index.ListQuery) (lines []string) {
	w.t.Helper()
	for range 10000 {
		page, err := w.Page(w.t.Context(), bucket, q)
		if err != nil {
			w.t.Fatal(err)
		}
		var got []string
		i, j := 0, 0
		for i < len(page.Entries) || j < len(page.Prefixes) {
			if j == len(page.Prefixes) || i < len(page.Entries) && string(page.Entries[i].Version.Key) < page.Prefixes[j] {
				got = append(got, entryLine(page.Entries[i]))
				i++
			} else {
				got = append(got, page.Prefixes[j])
				j++
			}
		}
		if len(got) > q.Max || page.Truncated && len(got) != q.Max {
			w.t.Fatalf("%+v: page of %d, truncated %v", q, len(got), page.Truncated)
		}
		lines = append(lines, got...)
		if !page.Truncated {
			return lines
		}
		q.After, q.AfterVersion = page.NextAfter, nil
		if page.NextVersion != nil && q.Versions {
			q.AfterVersion = &page.NextVersion.ID
		}
	}
	w.t.Fatal("the listing does not end")
	return nil
}

func entryLine(e index.ListEntry) string {
	return fmt.Sprintf("%q %s %d %v %d", e.Version.Key, e.Version.ID, e.Version.Kind, e.Latest, len(e.Version.Content))
}

// shownModel says what a bucket shows, from flat maps.
type shownModel struct {
	backups map[string][]modelBackup // by key, the newest first
	rows    map[string][]index.ListEntry
}

type modelBackup struct {
	id    index.VersionID
	files map[string]string // by whole key
}

func (m *shownModel) keys() (list []string) {
	for k := range m.backups {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// all returns the entries of all keys in order.
func (m *shownModel) all(versions bool) (list []index.ListEntry) {
	seen := map[string]bool{}
	for k := range m.rows {
		seen[k] = true
	}
	for _, backups := range m.backups {
		for _, b := range backups {
			for k := range b.files {
				seen[k] = true
			}
		}
	}
	keys := make([]string, 0, len(seen))
	for k := range seen {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		list = append(list, m.of(k, versions)...)
	}
	return list
}

func (m *shownModel) of(key string, versions bool) (list []index.ListEntry) {
	rows := slices.Clone(m.rows[key])
	longest := ""
	for k := range m.backups {
		if (k == key || strings.HasPrefix(key, k+"/")) && len(k) > len(longest) {
			longest = k
		}
	}
	var files []index.ListEntry
	before, had := "", false
	for i := len(m.backups[longest]) - 1; i >= 0; i-- {
		b := m.backups[longest][i]
		data, has := b.files[key]
		v := &index.Version{Key: []byte(key), ID: b.id, Kind: index.DeleteMarker}
		if has {
			v.Kind, v.Content = index.ContentPayload, make([]byte, 41)
		}
		if has && (!had || before != data) || had && !has {
			files = append(files, index.ListEntry{Version: v})
		}
		before, had = data, has
		if !versions {
			files = nil
			if has && i == 0 {
				files = []index.ListEntry{{Version: v, Latest: true}}
			}
		}
	}
	slices.Reverse(files)
	marked := len(rows) > 0 && rows[0].Version.Kind == index.DeleteMarker
	if !versions {
		if len(rows) > 0 && !marked {
			return rows[:1]
		}
		return files
	}
	if len(files) > 0 {
		files[0].Latest = true
	}
	if marked && len(files) > 0 && files[0].Version.Kind != index.DeleteMarker {
		rows[0].Latest = false
		return append(files, rows...)
	}
	if len(rows) > 0 && len(files) > 0 {
		files[0].Latest = false
	}
	return append(rows, files...)
}

func (m *shownModel) list(q index.ListQuery) (lines []string) {
	last := ""
	found := q.AfterVersion == nil
	for _, e := range m.all(q.Versions) {
		key := string(e.Version.Key)
		if !strings.HasPrefix(key, q.Prefix) || key < q.After {
			continue
		}
		cp := rolledUp(&q, key)
		if key == q.After && q.After != "" && cp == "" {
			if !found {
				found = e.Version.ID == *q.AfterVersion
				continue
			}
			if q.AfterVersion == nil {
				continue
			}
		}
		if cp != "" {
			if cp != last && (q.After == "" || !strings.HasPrefix(q.After, cp)) {
				lines = append(lines, cp)
			}
			last = cp
			continue
		}
		lines = append(lines, entryLine(e))
	}
	return lines
}

// TestPageModel compares pages over random snapshots and objects with flat maps. Names try
// what is on both sides of the slash in the order of bytes, and snapshots lie in one another.
func TestPageModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t)
			w.bucket("b", Enabled)
			names := []string{"a", "a-", "a.x", "a0", "b", "a--", "ü", "a b", "aa"}
			path := func(deep int) string {
				parts := make([]string, 1+rnd.IntN(deep))
				for i := range parts {
					parts[i] = names[rnd.IntN(len(names))]
				}
				return strings.Join(parts, "/")
			}
			m := &shownModel{backups: map[string][]modelBackup{}, rows: map[string][]index.ListEntry{}}
			for range 60 { // before the snapshots, which refuse them later
				key := path(3)
				v := w.put("b", key, "object")
				entries := []index.ListEntry{{Version: v}}
				if rnd.IntN(3) == 0 {
					res, err := w.Delete(t.Context(), "b", []DeleteRequest{{Key: key}})
					if err != nil || res[0].Marker == nil {
						t.Fatal(err)
					}
					entries = slices.Insert(entries, 0, index.ListEntry{Version: res[0].Marker})
				}
				m.rows[key] = append(entries, m.rows[key]...)
				for i := range m.rows[key] {
					m.rows[key][i].Latest = i == 0
				}
			}
			for range 12 {
				key := path(2)
				if rnd.IntN(2) == 0 && len(m.backups) > 0 {
					all := m.keys()
					key = all[rnd.IntN(len(all))]
				}
				w.backUp(m, rnd, key, path)
			}
			w.comparePages(m, rnd, path, names)
		})
	}
}

// backUp stores a snapshot of random files below key, or of one file, in world and model.
func (w *world) backUp(m *shownModel, rnd *rand.Rand, key string, path func(int) string) {
	files := map[string]string{} // below key
	if old := m.backups[key]; len(old) > 0 && rnd.IntN(2) == 0 {
		for k, data := range old[0].files {
			if rest, ok := strings.CutPrefix(k, key+"/"); ok && rnd.IntN(5) > 0 {
				files[rest] = data
			}
		}
	}
	for range rnd.IntN(30) {
		p := path(3)
		clash := false
		for have := range files {
			clash = clash || have == p || strings.HasPrefix(have, p+"/") || strings.HasPrefix(p, have+"/")
		}
		if !clash {
			files[p] = fmt.Sprint("data ", rnd.IntN(3))
		}
	}
	inTree, shown := map[string]string{}, map[string]string{}
	if rnd.IntN(6) == 0 || len(files) == 0 {
		inTree["src/"+key], shown[key] = "single", "single"
	} else {
		for p, data := range files {
			inTree["src/"+key+"/"+p], shown[key+"/"+p] = data, data
		}
		inTree["src/"+key+"/link@"] = ""
	}
	id := w.snapshot("b", key, inTree, "/src/"+key)
	m.backups[key] = slices.Insert(m.backups[key], 0, modelBackup{id, shown})
}

func (w *world) comparePages(m *shownModel, rnd *rand.Rand, path func(int) string, names []string) {
	w.t.Helper()
	delimiters := append([]string{"/", "/", "-", "a/"}, names...)
	for range 150 {
		q := index.ListQuery{Max: 1 + rnd.IntN(20), Versions: rnd.IntN(2) == 0}
		if rnd.IntN(2) == 0 {
			q.Prefix = path(3)
			if rnd.IntN(2) == 0 {
				q.Prefix += "/"
			}
		}
		if rnd.IntN(2) == 0 {
			q.Delimiter = delimiters[rnd.IntN(len(delimiters))]
		}
		if rnd.IntN(2) == 0 {
			q.After = path(4)
			if all := m.all(q.Versions); rnd.IntN(2) == 0 {
				e := all[rnd.IntN(len(all))]
				q.After = string(e.Version.Key)
				if q.Versions && strings.HasPrefix(q.After, q.Prefix) && rolledUp(&q, q.After) == "" {
					q.AfterVersion = &e.Version.ID
				}
			}
		}
		if want, got := m.list(q), w.pages("b", q); !slices.Equal(got, want) {
			w.t.Fatalf("%+v:\ngot  %.3000q\nwant %.3000q", q, got, want)
		}
	}
	for _, e := range m.all(false) {
		v, latest, err := w.Find(w.t.Context(), "b", string(e.Version.Key), Ref{})
		if err != nil || !latest || v.ID != e.Version.ID && !InSnapshot(v) {
			w.t.Fatalf("find %q: %v %v", e.Version.Key, latest, err)
		}
	}
	for _, e := range m.all(true) {
		v, _, err := w.Find(w.t.Context(), "b", string(e.Version.Key), Ref{ID: e.Version.ID})
		if err != nil || v.ID != e.Version.ID || v.Kind != e.Version.Kind {
			w.t.Fatalf("find %q version %s: %+v %v", e.Version.Key, e.Version.ID, v, err)
		}
	}
}

// BenchmarkPage takes pages of 1000 from the middle of a snapshot of a million files.
func BenchmarkPage(b *testing.B) {
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	for _, shape := range []string{"flat", "deep"} {
		files := make(map[string]string, n)
		for i := range n {
			if shape == "flat" {
				files[fmt.Sprintf("d/file-%08d", i)] = ""
			} else {
				files[fmt.Sprintf("d/%03d/%03d/file-%08d", i/10000%1000, i/100%100, i)] = ""
			}
		}
		w := newWorld(b)
		w.snapshot("host", "d", files, "/d")
		w.snapshot("host", "d", files, "/d")
		after := fmt.Sprintf("d/file-%08d", n/2)
		if shape == "deep" {
			after = fmt.Sprintf("d/%03d/", n/20000)
		}
		for _, q := range []struct {
			name string
			q    index.ListQuery
		}{
			{"keys", index.ListQuery{Max: 1000, After: after}},
			{"versions", index.ListQuery{Max: 1000, After: after, Versions: true}},
			{"prefixes", index.ListQuery{Max: 1000, Prefix: "d/", Delimiter: "/"}},
		} {
			b.Run(shape+"/"+q.name, func(b *testing.B) {
				for b.Loop() {
					page, err := w.Page(b.Context(), "host", q.q)
					if err != nil || len(page.Entries)+len(page.Prefixes) == 0 {
						b.Fatal(len(page.Entries), err)
					}
				}
			})
		}
	}
}
