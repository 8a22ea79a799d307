package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/tier"
)

// TestBucketScripts runs the scripts of testdata/buckets over a repository that has a bucket
// called photos with a past: on the morning of 2020-05-01 it had a.txt, b/one and b/two, at noon
// a.txt changed, b/one was deleted, c and keys came that cannot be paths.
func TestBucketScripts(t *testing.T) {
	runScripts(t, "testdata/buckets/*.txt", func(t *testing.T, file string, env *scriptEnv) {
		for _, s := range parseScript(t, "$ firn init -r repo --recipient-file pub --quiet\n") {
			env.run(t, file, s)
		}
		putPhotos(t, filepath.Join(env.dir, "repo"))
	})
}

func putPhotos(t *testing.T, dir string) {
	t.Helper()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	store, err := tier.OpenDir(dir, tier.DirOptions{})
	fatal(err)
	id, err := age.ParseX25519Identity(testIdentity)
	fatal(err)
	now := time.Date(2020, 5, 1, 8, 0, 0, 0, time.UTC)
	r, err := repo.Open(ctx, store, []age.Identity{id}, repo.Options{CacheDir: t.TempDir(), Now: func() time.Time { return now }})
	fatal(err)
	e, err := object.Open(ctx, r, object.Options{Refresh: -1})
	fatal(err)
	put := func(key, data string, user map[string]string) {
		t.Helper()
		_, err := e.Put(ctx, &object.PutRequest{Bucket: "photos", Key: key, Version: index.Version{User: user}}, strings.NewReader(data), nil)
		fatal(err)
	}
	fatal(e.CreateBucket(ctx, &object.Bucket{Name: "photos", Versioning: object.Enabled}))
	put("a.txt", "morning\n", nil)
	put("b/one", "1\n", map[string]string{"mode": "33152", "mtime": "1500000000.5"})
	put("b/two", "2\n", nil)
	now = now.Add(4 * time.Hour)
	put("a.txt", "noon\n", nil)
	put("c", "c\n", nil)
	put("../up", "x", nil)
	put("b//x", "x", nil)
	_, err = e.Delete(ctx, "photos", []object.DeleteRequest{{Key: "b/one"}})
	fatal(err)
	fatal(e.Close(ctx))
	fatal(r.Close())
	fatal(store.Close())
}

// TestParsePlace reads what names a snapshot or a bucket.
func TestParsePlace(t *testing.T) {
	morning := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]*place{
		"latest":                                  {snapshot: "latest"},
		"3f9a:/etc":                               {snapshot: "3f9a", path: "/etc"},
		"latest@2026-11-20T10:00Z:/etc":           {snapshot: "latest", path: "/etc", at: morning},
		"latest@2026-11-20T11:00:00+01:00":        {snapshot: "latest", at: morning},
		"s3:photos":                               {bucket: "photos"},
		"s3://photos/a@b:c":                       {bucket: "photos", prefix: "a@b:c"},
		"s3:photos@2026-11-20T10:00:00Z/2026/":    {bucket: "photos", prefix: "2026/", at: morning},
		"s3:photos@2026-11-20T10:00Z":             {bucket: "photos", at: morning},
		"s3:":                                     nil,
		"s3:photos@yesterday":                     nil,
		"3f9a@2026-11-20T10:00Z":                  nil,
		"latest@2026-13-40":                       nil,
		"s3:photos@2026-11-20T10:00Z and so on/x": nil,
	} {
		p, err := parsePlace(text, "")
		if want == nil {
			if err == nil {
				t.Errorf("%s: %+v", text, p)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !p.at.Equal(want.at) {
			t.Errorf("%s: at %v", text, p.at)
		}
		p.at = want.at
		if *p != *want {
			t.Errorf("%s: %+v", text, p)
		}
	}
	if _, err := parsePlace("latest@2026-11-20", "2026-11-20"); err == nil {
		t.Error("two times are taken")
	}
}
