package index

import (
	"fmt"
	"testing"
)

// listIndex has n keys in n/1000 directories of a bucket, two versions of every tenth.
func listIndex(b *testing.B, n int) *Index {
	x, l := openTest(b), &chain{}
	first := l.next(founderKey, 1, Begin, func(c *Commit) {
		c.Header.Admitted = newWorld(0).genesis().Header.Admitted
		c.Body.Buckets = []string{"b"}
	})
	if err := x.Apply(first); err != nil {
		b.Fatal(err)
	}
	const batch = 50_000
	for i := 0; i < n; i += batch {
		c := l.next(founderKey, 1, 0, nil)
		for j := i; j < min(i+batch, n); j++ {
			key := []byte(fmt.Sprintf("dir-%05d/object-%08d", j/1000, j))
			v := Version{Bucket: "b", Key: key, Content: make([]byte, contentSize), Class: "STANDARD", Time: int64(j),
				System: map[string]string{"etag": "d41d8cd98f00b204e9800998ecf8427e", "content-type": "text/plain", "owner": "someone"}}
			v.ID[0], v.ID[1], v.ID[2], v.ID[3] = byte(j), byte(j>>8), byte(j>>16), byte(j>>24)
			c.Body.Versions = append(c.Body.Versions, v)
			if j%10 == 0 {
				v.ID[15] = 1
				c.Body.Versions = append(c.Body.Versions, v)
			}
		}
		if err := x.Apply(c); err != nil {
			b.Fatal(err)
		}
	}
	return x
}

// BenchmarkList takes pages of 1000 from the middle of many keys, and of common prefixes,
// each of which hides 1000 keys.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000, 10_000_000} {
		if testing.Short() && n > 100_000 {
			continue
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := listIndex(b, n)
			for _, q := range []struct {
				name string
				q    ListQuery
			}{
				{"keys", ListQuery{Max: 1000, After: fmt.Sprintf("dir-%05d/", n/2000)}},
				{"versions", ListQuery{Max: 1000, Versions: true, After: fmt.Sprintf("dir-%05d/", n/2000)}},
				{"prefixes", ListQuery{Max: 1000, Delimiter: "/"}},
			} {
				b.Run(q.name, func(b *testing.B) {
					for b.Loop() {
						page, err := x.List("b", q.q)
						if err != nil || len(page.Entries)+len(page.Prefixes) < min(1000, n/1000) {
							b.Fatal(len(page.Entries), err)
						}
					}
				})
			}
		})
	}
}
