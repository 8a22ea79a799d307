package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/tree"
)

// Files of snapshots are shown beside objects. A snapshot of one directory shows what lies
// in it as KEY/PATH, that of one file as KEY, and one of several paths each below KEY with
// the whole path. Of two keys that both hold snapshots and both lead to a key, the longer
// one counts. A key that holds an object is that object. Links, devices and empty
// directories are not shown, nor names that are no UTF-8, nor keys above maxShown bytes.
const maxShown = 1024

// snapshotKeys returns the keys of a bucket that hold snapshots, in byte order. They are
// kept until a snapshot comes or goes.
func (e *Engine) snapshotKeys(bucket string) ([]string, error) {
	ix := e.r.Index()
	at := ix.SnapshotChanges()
	e.cacheMu.Lock()
	keys, known := e.snapshots[bucket], e.snapshots != nil && e.snapshotsAt == at
	e.cacheMu.Unlock()
	if known {
		return keys, nil
	}
	all := map[string][]string{}
	err := ix.Snapshots("", func(v *index.Version) error {
		all[v.Bucket] = append(all[v.Bucket], string(v.Key))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for b, list := range all {
		slices.Sort(list)
		all[b] = slices.Compact(list)
	}
	e.cacheMu.Lock()
	e.snapshots, e.snapshotsAt = all, at
	e.cacheMu.Unlock()
	return all[bucket], nil
}

// holder returns the key whose snapshots may show another key: the longest one of keys
// that is the key itself or leads to it.
func holder(keys []string, key string) (string, bool) {
	for at := len(key); at > 0 && len(keys) > 0; at = strings.LastIndexByte(key[:at], '/') {
		if _, ok := slices.BinarySearch(keys, key[:at]); ok {
			return key[:at], true
		}
	}
	return "", false
}

// mayWrite returns ErrSnapshot when a key holds snapshots or lies below one that does.
func (e *Engine) mayWrite(bucket, key string) error {
	keys, err := e.snapshotKeys(bucket)
	if err != nil {
		return err
	}
	if at, ok := holder(keys, key); ok {
		return fmt.Errorf("%s in bucket %s, where %s holds a snapshot: %w", key, bucket, at, ErrSnapshot)
	}
	return nil
}

// shown is a snapshot and what it shows.
type shown struct {
	v    *index.Version
	base *tree.Node // at the key: a file, or a directory whose entries lie below; nil: nothing
}

// errStop ends a scan.
var errStop = errors.New("stop")

// shownAt returns the snapshots of a key, the newest first; only the newest if all is
// false.
func (e *Engine) shownAt(ctx context.Context, bucket, key string, all bool) (list []shown, err error) {
	err = e.snapshotVersions(bucket, key, func(v *index.Version) bool {
		list = append(list, shown{v: v})
		return all
	})
	for i := range list {
		if err == nil {
			list[i].base, err = e.base(ctx, list[i].v)
		}
	}
	return list, err
}

// snapshotVersions calls f for the snapshots of a key, the newest first, until it returns
// false.
func (e *Engine) snapshotVersions(bucket, key string, f func(*index.Version) bool) error {
	err := e.r.Index().Versions(bucket, []byte(key), nil, func(v *index.Version) error {
		if string(v.Key) != key || v.Kind == index.TreePayload && !f(v) {
			return errStop
		}
		return nil
	})
	if errors.Is(err, errStop) {
		return nil
	}
	return bucketError(bucket, err)
}

// base finds what a snapshot shows at its key.
func (e *Engine) base(ctx context.Context, v *index.Version) (*tree.Node, error) {
	root := &tree.Node{}
	if err := index.Unmarshal(v.Root, root); err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", v.ID, err)
	}
	if _, err := tree.Parse(root.Tree); err != nil || root.Type != tree.Dir {
		return nil, fmt.Errorf("snapshot %s: %w: its root is a %s", v.ID, repo.ErrDamaged, root.Type)
	}
	if v.System[frozenOf] != "" || v.Snapshot == nil || len(v.Snapshot.Paths) != 1 {
		return root, nil
	}
	parts := strings.FieldsFunc(string(v.Snapshot.Paths[0]), func(c rune) bool { return c == '/' })
	if len(parts) == 0 {
		return root, nil
	}
	if len(parts[0]) == 2 && parts[0][1] == ':' { // a drive is stored without its colon
		parts[0] = parts[0][:1]
	}
	// As for a restore in place: a relative path was stored with its last components; but
	// when even the first one is there, it was stored with all, and could not be read.
	n, err := descend(ctx, e.r, root, parts)
	if err != nil || n != nil {
		return n, err
	}
	if above, err := descend(ctx, e.r, root, parts[:1]); err != nil || above != nil {
		return nil, err
	}
	for len(parts) > 1 {
		parts = parts[1:]
		if n, err := descend(ctx, e.r, root, parts); err != nil || n != nil {
			return n, err
		}
	}
	return root, nil // the entries of "."
}

// descend returns the node at a path below a directory, nil if there is none.
func descend(ctx context.Context, r *repo.Repository, n *tree.Node, parts []string) (*tree.Node, error) {
	for _, part := range parts {
		if n.Type != tree.Dir {
			return nil, nil
		}
		var err error
		n, err = tree.Lookup(ctx, r, tree.Handle(n.Tree), []byte(part))
		if errors.Is(err, repo.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return n, nil
}

// file returns the file that a snapshot of key at shows as key, nil if there is none.
func (e *Engine) file(ctx context.Context, s *shown, at, key string) (*tree.Node, error) {
	n := s.base
	if n != nil && key != at {
		parts := []string{string(FrozenName(key[len(at)+1:]))}
		if !s.frozen() {
			parts = strings.Split(key[len(at)+1:], "/")
		}
		var err error
		if n, err = descend(ctx, e.r, n, parts); err != nil {
			return nil, fmt.Errorf("%s in snapshot %s: %w", key, s.v.ID, err)
		}
	}
	if n == nil || n.Type != tree.File {
		return nil, nil
	}
	return n, nil
}

// frozen reports whether the snapshot is one of a bucket.
func (s *shown) frozen() bool { return s.v != nil && s.v.System[frozenOf] != "" }

// version makes a version of a file as a snapshot has it, or, without a node, a delete
// marker that says that it is not there any more.
func (s *shown) version(key string, n *tree.Node) *index.Version {
	v := &index.Version{Bucket: s.v.Bucket, Key: []byte(key), ID: s.v.ID, Time: s.v.Time, Kind: index.DeleteMarker,
		Class: "STANDARD", Lock: s.v.Lock, Snapshot: s.v.Snapshot}
	if v.Snapshot == nil {
		v.Snapshot = &index.Snapshot{Start: s.v.Time, End: s.v.Time}
	}
	if n == nil {
		return v
	}
	v.Kind, v.Time, v.Content = index.ContentPayload, n.ModTime, n.Content
	if s.frozen() {
		if o, err := Thaw(n); err == nil { // else it is shown as a file
			v.Class, v.User, v.System, v.Tags, v.Parts = o.Class, o.User, o.System, o.Tags, o.Parts
		}
	}
	return v
}

// InSnapshot reports whether a version that Find or Page returned is that of a file in a
// snapshot, and not an object. Such a version has the ID of the snapshot and the time of the
// file, and no System, but for an object of a frozen bucket, which has what it had.
func InSnapshot(v *index.Version) bool { return v.Snapshot != nil && v.Kind != index.TreePayload }

// Find is Version for all that a bucket shows: objects, and files of snapshots. Without a
// reference a file is that of the newest snapshot of its key, with that one's ID. The ID of
// any snapshot that has the file refers to it. A file has its attributes in User, in the
// form that s3fs and rclone give them: mode, uid, gid and mtime in decimal.
func (e *Engine) Find(ctx context.Context, bucket, key string, ref Ref) (v *index.Version, latest bool, err error) {
	v, latest, err = e.Version(bucket, key, ref)
	if err == nil && (v.Kind != index.DeleteMarker || !ref.Current()) ||
		err != nil && !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrNoVersion) {
		return v, latest, err
	}
	file, newest, ferr := e.findFile(ctx, bucket, key, ref)
	if ferr != nil {
		return nil, false, ferr
	}
	if file == nil {
		return v, latest, err
	}
	return file, newest, nil
}

// findFile returns the version of a file in a snapshot, or nil.
func (e *Engine) findFile(ctx context.Context, bucket, key string, ref Ref) (v *index.Version, newest bool, err error) {
	keys, err := e.snapshotKeys(bucket)
	if err != nil || ref.Null {
		return nil, false, err
	}
	at, ok := holder(keys, key)
	if !ok {
		return nil, false, nil
	}
	var found []shown // the one meant, and the one before it
	first := true
	err = e.snapshotVersions(bucket, at, func(v *index.Version) bool {
		if len(found) > 0 || ref.Current() || v.ID == ref.ID {
			newest = newest || first
			found = append(found, shown{v: v})
		}
		first = false
		return len(found) < 2 && !ref.Current()
	})
	if err != nil || len(found) == 0 {
		return nil, false, err
	}
	for i := range found {
		s := &found[i]
		if s.base, err = e.base(ctx, s.v); err != nil {
			return nil, false, err
		}
		n, err := e.file(ctx, s, at, key)
		switch {
		case err != nil:
			return nil, false, err
		case n != nil && i > 0:
			return found[0].version(key, nil), newest, nil // it is gone since
		case n != nil:
			v := s.version(key, n)
			v.Content = bytes.Clone(v.Content)
			if v.System == nil {
				v.User = attributes(n)
			}
			return v, newest, nil
		}
	}
	return nil, false, nil
}

func attributes(n *tree.Node) map[string]string {
	const regular = 0o100000 // S_IFREG
	sec, nsec := n.ModTime/1e9, n.ModTime%1e9
	mtime := fmt.Sprintf("%d.%09d", sec, nsec)
	if nsec < 0 { // before 1970 both parts are below zero
		mtime = fmt.Sprintf("-%d.%09d", -sec, -nsec)
	}
	return map[string]string{
		"mode": fmt.Sprint(regular | n.Mode), "uid": fmt.Sprint(n.UID), "gid": fmt.Sprint(n.GID), "mtime": mtime,
	}
}
