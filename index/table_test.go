package index

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func inUpdate(t *testing.T, x *Index, f func(tb table) error) {
	t.Helper()
	if err := x.update(func(tx *bolt.Tx) error { return f(in(tx, tableRows)) }); err != nil {
		t.Fatal(err)
	}
}

func listTable(tb table, prefix, from string) (lines []string, err error) {
	err = tb.scan([]byte(prefix), []byte(from), func(k, v []byte) error {
		lines = append(lines, string(k)+"="+string(v))
		return nil
	})
	return lines, err
}

func TestTableIsAMap(t *testing.T) {
	x := openTest(t)
	rng := rand.New(rand.NewPCG(1, 1))
	want := map[string]string{}
	for range 400 {
		key := strings.Repeat(string(rune('a'+rng.IntN(5))), 1+rng.IntN(3)) + string(rune('a'+rng.IntN(5)))
		inUpdate(t, x, func(tb table) error {
			if rng.IntN(3) == 0 {
				delete(want, key)
				return tb.delete([]byte(key))
			}
			want[key] = fmt.Sprint(rng.IntN(1000))
			return tb.put([]byte(key), []byte(want[key]))
		})
		prefix := string(rune('a' + rng.IntN(6)))
		inUpdate(t, x, func(tb table) error {
			got, err := tb.get([]byte(key))
			if v, ok := want[key]; string(got) != v || (got != nil) != ok || err != nil {
				t.Fatalf("get %s: %q, %v, want %q, %t", key, got, err, v, ok)
			}
			for _, from := range []string{"", key} {
				lines, err := listTable(tb, prefix, from)
				var list []string
				for _, k := range slices.Sorted(maps.Keys(want)) {
					if strings.HasPrefix(k, prefix) && k >= from {
						list = append(list, k+"="+want[k])
					}
				}
				if !slices.Equal(lines, list) || err != nil {
					t.Fatalf("scan %s from %q: %q, %v, want %q", prefix, from, lines, err, list)
				}
			}
			return nil
		})
	}
}

// TestTableNoticesWhatIsMissing covers invariant 3 for rows that are not there to fail a check.
func TestTableNoticesWhatIsMissing(t *testing.T) {
	tests := map[string]func(tb table) error{
		"get of the missing row":    func(tb table) error { _, err := tb.get([]byte("c")); return err },
		"get beside it":             func(tb table) error { _, err := tb.get([]byte("bb")); return err },
		"scan over it":              func(tb table) error { _, err := listTable(tb, "", ""); return err },
		"scan from before it":       func(tb table) error { _, err := listTable(tb, "", "b"); return err },
		"scan from it":              func(tb table) error { _, err := listTable(tb, "", "c"); return err },
		"scan of its prefix":        func(tb table) error { _, err := listTable(tb, "c", ""); return err },
		"put in its place":          func(tb table) error { return tb.put([]byte("c"), nil) },
		"delete of the missing row": func(tb table) error { return tb.delete([]byte("c")) },
		"delete of the next row":    func(tb table) error { return tb.delete([]byte("d")) },
	}
	for name, ask := range tests {
		x := openTest(t)
		inUpdate(t, x, func(tb table) error {
			for _, k := range []string{"a", "b", "c", "d", "e"} {
				if err := tb.put([]byte(k), []byte("value "+k)); err != nil {
					return err
				}
			}
			return tb.b.Delete([]byte("c"))
		})
		inUpdate(t, x, func(tb table) error {
			if err := ask(tb); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v, want ErrDamaged", name, err)
			}
			if v, err := tb.get([]byte("d")); string(v) != "value d" || err != nil {
				t.Errorf("%s: another row: %q, %v", name, v, err)
			}
			return nil
		})
	}
}

// TestDeletesThatEmptyPages deletes all rows of many neighbouring pages in one
// transaction, in both directions and at random, and puts some back.
func TestDeletesThatEmptyPages(t *testing.T) {
	const rows = 3000
	key := func(i int) []byte { return fmt.Appendf(nil, "key %05d %050d", i, i) }
	orders := map[string]func(i int) int{
		"forwards":  func(i int) int { return i },
		"backwards": func(i int) int { return rows - 1 - i },
		"scattered": func(i int) int { return i * 1009 % rows },
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			x := openTest(t)
			value := bytes.Repeat([]byte("v"), 200)
			err := x.db.Update(func(tx *bolt.Tx) error {
				for i := range rows {
					if err := in(tx, tableRows).put(key(i), value); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			err = x.db.Update(func(tx *bolt.Tx) error {
				for i := range rows {
					if n := order(i); n != 0 && n != rows-1 {
						if err := in(tx, tableRows).delete(key(n)); err != nil {
							return fmt.Errorf("delete %d: %w", n, err)
						}
					}
					if i%7 == 0 {
						if v, err := in(tx, tableRows).get(key(order(i))); err != nil || (v == nil) != (order(i) != 0 && order(i) != rows-1) {
							return fmt.Errorf("get %d: %v", order(i), err)
						}
					}
				}
				return in(tx, tableRows).put(key(rows/2), value)
			})
			if err != nil {
				t.Fatal(err)
			}
			var left int
			err = x.db.View(func(tx *bolt.Tx) error {
				return in(tx, tableRows).scan(nil, nil, func(_, _ []byte) error { left++; return nil })
			})
			if left != 3 || err != nil {
				t.Errorf("%d rows are left: %v", left, err)
			}
		})
	}
}

// No row has the empty key, or that of the first row of a table: whoever asks for them is
// told so, and the index is not taken for damaged.
func TestKeysThatNoRowHas(t *testing.T) {
	x := openTest(t)
	for _, key := range []string{"", "\x00"} {
		if _, err := x.Row("bucket", []byte(key)); !errors.Is(err, ErrNotFound) {
			t.Errorf("row %q: %v", key, err)
		}
		if _, err := x.Empty(key); !errors.Is(err, ErrNotFound) {
			t.Errorf("bucket %q: %v", key, err)
		}
		err := x.db.Update(func(tx *bolt.Tx) error { return in(tx, tableRows).put([]byte(key), []byte("v")) })
		if err == nil {
			t.Errorf("a row got the key %q", key)
		}
	}
	if x.suspect.Load() || x.broken.Load() {
		t.Error("the index is taken for damaged")
	}
}
