package snapshot

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
)

// Check reads what no snapshot needs now, too: key slots of others, checkpoints, and packs
// that can come back.
func TestCheckReadsWhatLiesBeside(t *testing.T) {
	cases := []struct {
		prefix, kind string
		remove       bool
		readData     bool // only then it is noticed
		text         string
	}{
		{prefix: "keys/write/", kind: "key", text: "not those that were written"},
		{prefix: "keys/write/", kind: "key", remove: true, text: "missing"},
		{prefix: "checkpoints/", kind: "checkpoint", text: "delete the file"},
		{prefix: "packs/", kind: "pack", readData: true, text: "cannot come back"},
		{prefix: "packs/", kind: "pack", remove: true, text: "cannot come back"},
	}
	for _, c := range cases {
		r, dir := newTestRepo(t), t.TempDir()
		write(t, filepath.Join(dir, "a"), randomBytes(1, 300_000))
		res, _ := saveTree(t, r, SaveOptions{Paths: []string{dir}})
		id, err := age.GenerateX25519Identity()
		noError(t, err)
		noError(t, repo.AddKey(t.Context(), r, index.Write, "host", id.Recipient()))
		_, err = Forget(t.Context(), r, ForgetOptions{Snapshots: []string{res.ID}})
		noError(t, err)
		pruned, err := Prune(t.Context(), r, repo.PruneOptions{Grace: time.Hour})
		if err != nil || pruned.Dropped.Packs == 0 {
			t.Fatalf("prune: %v, %+v", err, pruned)
		}
		noError(t, r.Checkpoint(t.Context(), true))
		if _, found := check(t, r, CheckOptions{ReadData: true}); len(found) > 0 {
			t.Fatalf("before: %+v", found)
		}
		name := ""
		noError(t, r.Store().List(t.Context(), c.prefix, "", func(fi tier.Info) error {
			name = fi.Name
			return nil
		}))
		b, err := tier.Read(t.Context(), r.Store(), name, 1<<30)
		noError(t, err)
		noError(t, r.Store().Delete(t.Context(), name))
		if !c.remove {
			b[len(b)/2] ^= 1
			noError(t, tier.Put(t.Context(), r.Store(), name, b))
		}
		if _, found := check(t, r, CheckOptions{}); c.readData && len(found) > 0 {
			t.Errorf("%s: without reading data: %+v", name, found)
		}
		_, found := check(t, r, CheckOptions{ReadData: true})
		if len(found) != 1 || found[0].File != name || found[0].Kind != c.kind || !strings.Contains(found[0].Message, c.text) {
			t.Errorf("%s: findings %+v, want %q", name, found, c.text)
		}
	}
}
