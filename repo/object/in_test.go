package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/firnstore/firn/index"
)

// TestChangesAreForTheBucketOfBefore: what was allowed in view of one bucket does not
// happen to another one that has its name by then.
func TestChangesAreForTheBucketOfBefore(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	old, err := w.Bucket("b")
	if err != nil {
		t.Fatal(err)
	}
	ctx := In(t.Context(), old)
	if _, err := w.Put(ctx, &PutRequest{Bucket: "b", Key: "k"}, strings.NewReader("x"), nil); err != nil {
		t.Fatal(err)
	}
	if err := w.EditBucket(ctx, "b", func(b *Bucket) error { b.Config = map[string]string{"a": "b"}; return nil }); err != nil {
		t.Errorf("the bucket is the same, with other settings: %v", err)
	}
	if _, err := w.Delete(ctx, "b", []DeleteRequest{{Key: "k"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.RemoveBucket(ctx, "b", nil); err != nil {
		t.Fatal(err)
	}
	w.now.Add(1000)
	w.bucket("b", Unversioned)
	w.put("b", "k", "of the new one")
	for name, change := range map[string]func() error{
		"put": func() error {
			_, err := w.Put(ctx, &PutRequest{Bucket: "b", Key: "k"}, strings.NewReader("x"), nil)
			return err
		},
		"settings": func() error { return w.EditBucket(ctx, "b", func(*Bucket) error { return nil }) },
		"removal":  func() error { return w.RemoveBucket(ctx, "b", nil) },
		"upload": func() error {
			return w.CreateUpload(ctx, &Upload{Version: index.Version{Bucket: "b", Key: []byte("k")}})
		},
		"tags": func() error {
			_, err := w.Edit(ctx, &EditRequest{Bucket: "b", Key: "k", Change: func(*Bucket, *index.Version) error { return nil }})
			return err
		},
		"delete": func() error {
			res, err := w.Delete(ctx, "b", []DeleteRequest{{Key: "k"}})
			if err == nil {
				err = res[0].Err
			}
			return err
		},
	} {
		if err := change(); !errors.Is(err, ErrNoBucket) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v, _, err := w.Version("b", "k", Ref{}); err != nil || w.read(v) != "of the new one" {
		t.Errorf("the object of the new bucket: %v, %v", v, err)
	}
}

// TestManyHalfBodies: bodies that begin and then wait for memory do not keep it from each
// other for ever, and when they are gone, others have it again.
func TestManyHalfBodies(t *testing.T) {
	w := newWorld(t)
	w.bucket("b", Unversioned)
	const clients = 2 * bodyMemory / smallBody
	var feeds []*io.PipeWriter
	var wg sync.WaitGroup
	for i := range clients {
		body, feed := io.Pipe()
		feeds = append(feeds, feed)
		wg.Go(func() {
			_, err := w.Put(context.Background(), &PutRequest{Bucket: "b", Key: fmt.Sprint(i)}, body, nil)
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrBusy) {
				t.Errorf("put %d: %v", i, err)
			}
			_ = body.CloseWithError(errors.New("over"))
		})
		if _, err := feed.Write(make([]byte, freeBody+1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, feed := range feeds {
		feed.CloseWithError(io.ErrUnexpectedEOF)
	}
	wg.Wait()
	if got := w.memory.free.Load(); got != bodyMemory {
		t.Errorf("%d bytes of memory are free of %d", got, bodyMemory)
	}
	data := bytes.Repeat([]byte("x"), smallBody-1)
	if v := w.put("b", "after", string(data)); w.read(v) != string(data) {
		t.Error("the object after them changed")
	}
}
