package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// listModel answers a ListQuery from a slice, as the comments of ListQuery say.
func listModel(all []ListEntry, q ListQuery) (lines []string) {
	if q.Delimiter != "" && strings.HasPrefix(q.After, q.Prefix) && strings.Contains(q.After[len(q.Prefix):], q.Delimiter) {
		q.AfterVersion = nil // the key is rolled up
	}
	last := ""
	found := q.AfterVersion == nil
	for _, e := range all {
		key := string(e.Version.Key)
		if !strings.HasPrefix(key, q.Prefix) || !q.Versions && (!e.Latest || e.Version.Kind == DeleteMarker) {
			continue
		}
		if key < q.After {
			continue
		}
		if key == q.After && q.After != "" {
			if q.AfterVersion == nil {
				continue
			}
			if !found {
				found = e.Version.ID == *q.AfterVersion
				continue
			}
		}
		if q.Delimiter != "" {
			if i := strings.Index(key[len(q.Prefix):], q.Delimiter); i >= 0 {
				cp := key[:len(q.Prefix)+i+len(q.Delimiter)]
				if cp != last && (q.After == "" || !strings.HasPrefix(q.After, cp)) {
					lines = append(lines, cp)
				}
				last = cp
				continue
			}
		}
		lines = append(lines, fmt.Sprint(key, " ", e.Version.ID, " ", e.Latest))
	}
	return lines
}

func listPages(t *testing.T, x *Index, q ListQuery) (lines []string) {
	t.Helper()
	for range 10000 {
		page, err := x.List("b", q)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		i, j := 0, 0
		for i < len(page.Entries) || j < len(page.Prefixes) {
			if j == len(page.Prefixes) || i < len(page.Entries) && string(page.Entries[i].Version.Key) < page.Prefixes[j] {
				e := page.Entries[i]
				got = append(got, fmt.Sprint(string(e.Version.Key), " ", e.Version.ID, " ", e.Latest))
				i++
			} else {
				got = append(got, page.Prefixes[j])
				j++
			}
		}
		if len(got) > q.Max || page.Truncated && len(got) != q.Max {
			t.Fatalf("%+v: page of %d, truncated %v", q, len(got), page.Truncated)
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
	t.Fatal("the listing does not end")
	return nil
}

// TestListModel compares listings in pages with a model, over keys that try every corner
// of the escaping and of the order.
func TestListModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	x, l := openTest(t), &chain{}
	alphabet := []string{"a", "b", "/", "//", "\x00", "\x01", "\xff", "é", " "}
	var versions []Version
	for i := range 400 {
		key := ""
		for range 1 + rnd.IntN(4) {
			key += alphabet[rnd.IntN(len(alphabet))]
		}
		v := Version{Bucket: "b", Key: []byte(key), ID: VersionID{byte(i), byte(i >> 8)}, Time: int64(i), Content: make([]byte, contentSize), Class: "STANDARD"}
		if rnd.IntN(4) == 0 {
			v.Kind, v.Content = DeleteMarker, nil
		}
		versions = append(versions, v)
	}
	apply(t, x, l.next(founderKey, 1, Begin, func(c *Commit) {
		c.Header.Admitted = newWorld(0).genesis().Header.Admitted
		c.Body.Buckets = []string{"a", "b", "c"}
		c.Body.Versions = versions
	}))
	var all []ListEntry
	last := ""
	err := x.Versions("b", nil, nil, func(v *Version) error {
		all = append(all, ListEntry{v, string(v.Key) != last || len(all) == 0})
		last = string(v.Key)
		return nil
	})
	if err != nil || len(all) != len(versions) {
		t.Fatalf("%d versions, %v", len(all), err)
	}
	for range 400 {
		q := ListQuery{Max: 1 + rnd.IntN(20), Versions: rnd.IntN(2) == 0}
		if rnd.IntN(2) == 0 {
			q.Prefix = alphabet[rnd.IntN(len(alphabet))]
		}
		if rnd.IntN(2) == 0 {
			q.Delimiter = alphabet[rnd.IntN(len(alphabet))]
		}
		if rnd.IntN(2) == 0 {
			e := all[rnd.IntN(len(all))]
			q.After = string(e.Version.Key)
			if q.Versions && rnd.IntN(2) == 0 && strings.HasPrefix(q.After, q.Prefix) {
				q.AfterVersion = &e.Version.ID
			}
		}
		want, got := listModel(all, q), listPages(t, x, q)
		if !slices.Equal(got, want) {
			t.Fatalf("%+v:\ngot  %.2000q\nwant %.2000q", q, got, want)
		}
	}
}
