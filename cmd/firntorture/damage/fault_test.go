package damage

import (
	"bytes"
	"testing"
)

// A fault changes the copy and nothing else, and the plan deals every bit and length once.
func TestPlanDealsEachFaultOnce(t *testing.T) {
	whole := files{"config": []byte("abc"), "log/000000/0000000000000001": []byte("defg"), "packs/00/x": []byte("hijkl")}
	p := newPlan(&fixture{files: whole, older: []files{{"config": []byte("old")}}}, 7)
	few, all := len(p.few), 7*8+7
	if want := 3 + 9 + 3 + 2; few != want {
		t.Errorf("%d faults of which there are few, want %d", few, want)
	}
	seen := map[string]bool{}
	for n := 0; p.covered != p.all; n++ {
		if n > 10*(few+all) {
			t.Fatalf("%v of %v dealt after %d", p.covered, p.all, n)
		}
		f := p.next()
		damaged := f.apply(whole)
		if same(damaged, whole) {
			t.Errorf("%s changes nothing", &f)
		}
		if !isPack(f.file) && (f.kind == flip || f.kind == truncate) {
			if seen[f.String()] {
				t.Errorf("%s dealt twice", &f)
			}
			seen[f.String()] = true
		}
	}
	if string(whole["config"]) != "abc" || len(whole) != 3 {
		t.Errorf("the whole repository was changed: %q", whole)
	}
}

func same(a, b files) bool {
	for name := range a {
		if there, ok := b[name]; !ok || !bytes.Equal(there, a[name]) {
			return false
		}
	}
	return len(a) == len(b)
}
