package snapshot_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/snapshot"
)

// What restore.py makes of the log stays the same as what firn makes of it when packs were
// dropped and written again, and when some of them came back.
func TestEscapeHatchAfterPrune(t *testing.T) {
	t.Parallel()
	needTools(t)
	e, id := newX25519Escape(t, repo.InitOptions{})
	src := filepath.Join(t.TempDir(), "source")
	makeTree(t, src)
	r := e.open(t, id)
	first := backUp(t, r, src)
	old := readFile(t, filepath.Join(src, "large"))
	putFile(t, filepath.Join(src, "large"), append(randomData(14, 300_000), old[:200_000]...), 0o640)
	putFile(t, filepath.Join(src, "inline"), []byte("changed"), 0o600)
	second := backUp(t, r, src)
	if _, err := snapshot.Forget(t.Context(), r, snapshot.ForgetOptions{Snapshots: []string{first}}); err != nil {
		t.Fatal(err)
	}
	res, err := snapshot.Prune(t.Context(), r, repo.PruneOptions{Grace: 1 << 50, SealAfter: 1 << 50})
	if err != nil || res.Dropped.Packs+res.Repacked.Packs == 0 {
		t.Fatalf("prune: %+v, %v", res, err)
	}
	target := filepath.Join(t.TempDir(), "target")
	t.Cleanup(func() { unlock(target) })
	e.run(t, "--verify", "restore", second, src, target)
	sameTree(t, target, src)
	e.fails(t, "no version has an ID", "ls", first)

	if _, err := snapshot.Undelete(t.Context(), r, []string{first}); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := e.run(t, "--verify", "cat", first, filepath.Join(src, "large")); !bytes.Equal(got, old) {
		t.Errorf("cat of the snapshot that came back: %d bytes that differ", len(got))
	}
	again := filepath.Join(t.TempDir(), "target")
	t.Cleanup(func() { unlock(again) })
	e.run(t, "--verify", "restore", second, src, again)
	sameTree(t, again, src)
}
