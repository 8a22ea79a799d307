package remote

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/firnstore/firn/tier"
)

const (
	// partSize is that of parts of a multipart upload; S3 wants 5 MiB at least.
	partSize = 8 << 20
	// nonceKey names the metadata that tells our own object from that of another writer.
	nonceKey = "firn-nonce"
)

// errEnded is the error of using a Writer after a successful Commit or an Abort.
var errEnded = errors.New("writer has ended")

// parts are buffers of partSize bytes.
var parts = sync.Pool{New: func() any { b := make([]byte, 0, partSize); return &b }}

// writer writes one file.
type writer struct {
	ctx     context.Context
	s       *Store
	name    string
	nonce   string
	replace bool // whatever has the name

	buf    []byte  // bytes that were not sent
	pooled *[]byte // what buf is, once it is large
	upload *upload // nil while the file may fit into one part
	ended  bool
	err    error // first error, or errEnded
}

// Create implements tier.Store.
func (s *Store) Create(ctx context.Context, name string) (tier.Writer, error) {
	return s.begin(ctx, name, false)
}

// Replace implements tier.Replacer: a PUT without a condition.
func (s *Store) Replace(ctx context.Context, name string) (tier.Writer, error) {
	return s.begin(ctx, name, true)
}

func (s *Store) begin(ctx context.Context, name string, replace bool) (tier.Writer, error) {
	if err := s.check(ctx, "create", name); err != nil {
		return nil, err
	}
	nonce, err := s.newNonce()
	if err != nil {
		return nil, s.fail("create", name, err)
	}
	return &writer{ctx: ctx, s: s, name: name, nonce: nonce, replace: replace}, nil
}

func (s *Store) newNonce() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// Write implements tier.Writer. It waits while as many parts as may be are on their way.
func (w *writer) Write(p []byte) (int, error) {
	if w.err == nil {
		w.err = w.s.usable(w.ctx, "write", w.name)
	}
	written := 0
	for w.err == nil && written < len(p) {
		if len(w.buf) == partSize {
			w.flush()
			continue
		}
		n := min(len(p)-written, partSize-len(w.buf))
		w.room(n)
		w.buf = append(w.buf, p[written:written+n]...)
		written += n
	}
	return written, w.err
}

// room makes a large buffer a pooled one. Small files never need that much.
func (w *writer) room(n int) {
	if w.pooled != nil || len(w.buf)+n <= partSize/16 {
		return
	}
	w.pooled = parts.Get().(*[]byte)
	w.buf = append((*w.pooled)[:0], w.buf...)
}

// flush sends the buffer as a part, beside the work.
func (w *writer) flush() {
	if w.upload == nil {
		w.upload = &upload{s: w.s, name: w.name, nonce: w.nonce}
		w.upload.ctx, w.upload.cancel = context.WithCancelCause(w.ctx)
	}
	select {
	case w.s.slots <- struct{}{}:
	case <-w.upload.ctx.Done():
		w.err = w.s.fail("write", w.name, context.Cause(w.upload.ctx))
		return
	}
	buf, pooled := w.buf, w.pooled
	w.buf, w.pooled = nil, nil
	w.upload.send(buf, func() {
		<-w.s.slots
		if pooled != nil {
			parts.Put(pooled)
		}
	})
}

// Commit implements tier.Writer.
func (w *writer) Commit() error {
	if w.ended {
		return w.err
	}
	if w.err == nil {
		w.err = w.s.usable(w.ctx, "commit", w.name)
	}
	if w.err == nil {
		if err := w.publish(); err != nil {
			w.err = w.s.fail("commit", w.name, err)
		}
	}
	err := w.err
	w.s.forget(w.name)
	if eerr := w.end(err != nil); eerr != nil && err == nil {
		err = w.s.fail("commit", w.name, eerr)
	}
	return err
}

// Abort implements tier.Writer.
func (w *writer) Abort() error {
	if w.ended {
		return nil
	}
	if err := w.end(true); err != nil {
		return w.s.fail("abort", w.name, err)
	}
	return nil
}

func (w *writer) publish() error {
	if w.upload == nil {
		return w.put()
	}
	if len(w.buf) > 0 {
		w.flush()
	}
	if err := w.upload.wait(); err != nil {
		return err
	}
	return w.win(func() error { return w.upload.complete(w.ctx, w.condition()) })
}

// errVanished says that a name was taken and is free now.
var errVanished = errors.New("another file had the name for a moment; try again")

// maxVanished bounds how often a name may be taken and free in turn.
const maxVanished = 8

// win makes a file visible by a request. A name that was taken, and under which nothing is
// found, is tried again: the other file was deleted just now, or it is just appearing, since
// not every storage shows it as soon as it refuses a second.
func (w *writer) win(request func() error) error {
	for n := 1; ; n++ {
		err := w.settle(request())
		if !errors.Is(err, errVanished) || n == maxVanished {
			return err
		}
		if err := w.s.clock.sleep(w.ctx, pause(n, w.s.clock.jitter())); err != nil {
			return err
		}
	}
}

func (w *writer) condition() *string {
	if w.replace {
		return nil
	}
	return aws.String("*")
}

// put sends a small file.
func (w *writer) put() error {
	select {
	case w.s.slots <- struct{}{}:
		defer func() { <-w.s.slots }()
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
	sum := checksum(w.buf)
	send := func(ctx context.Context) error {
		_, err := w.s.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: w.s.bucket(), Key: w.s.key(w.name), ExpectedBucketOwner: w.s.owner(),
			Body: bytes.NewReader(w.buf), ContentLength: aws.Int64(int64(len(w.buf))), ContentType: aws.String("application/octet-stream"),
			ChecksumCRC32C: &sum, IfNoneMatch: w.condition(),
			Metadata: map[string]string{nonceKey: w.nonce}, StorageClass: types.StorageClass(w.s.opt.Class(w.name)),
		})
		return err
	}
	return w.win(func() error { return w.s.try(w.ctx, send) })
}

// settle judges the last error of making a file visible. When the name is taken, or the
// upload is gone, the nonce of what is there tells whether that was us.
func (w *writer) settle(err error) error {
	a := answerOf(err)
	taken := a.status == http.StatusPreconditionFailed
	if err == nil || !taken && a.code != "NoSuchUpload" {
		return err
	}
	head, herr := w.s.head(w.ctx, w.name)
	switch {
	case errors.Is(herr, tier.ErrNotExist) && taken:
		return errVanished
	case errors.Is(herr, tier.ErrNotExist):
		return errors.New("the storage has dropped the upload; a rule of the bucket that ends uploads, or someone who does, leaves too little time")
	case herr != nil:
		return fmt.Errorf("see who has the name: %w", herr)
	case head.Metadata[nonceKey] == w.nonce:
		return nil
	case w.replace:
		return err
	}
	return tier.ErrExist
}

// end releases the writer. It runs once.
func (w *writer) end(failed bool) error {
	w.ended = true
	if w.err == nil {
		w.err = w.s.fail("write", w.name, errEnded)
	}
	if w.pooled != nil {
		parts.Put(w.pooled)
	}
	w.buf, w.pooled = nil, nil
	if w.upload == nil {
		return nil
	}
	return w.upload.end(failed)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC32C of data as S3 writes it.
func checksum(data []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, castagnoli)))
}
