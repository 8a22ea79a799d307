package remote

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/firnstore/firn/tier"
)

// Store is a tier.Store in a bucket. Any number of processes on any number of hosts may
// use one prefix of a bucket at the same time.
//
// Objects below the prefix whose names are not valid names of files are not part of it.
type Store struct {
	opt    Options
	base   string // what keys begin with: "" or the prefix and a slash
	region string
	client *s3.Client
	wire   *wire
	clock  clock
	random io.Reader
	budget *budget
	blocks *blocks
	ahead  ahead
	life   context.Context // ends with Close
	slots  chan struct{}   // bounds the requests that send bytes
	close  func()          // idle connections
	end    func()          // life

	closed  atomic.Bool
	reached atomic.Bool // the storage has answered once
}

var (
	_ tier.Store      = (*Store)(nil)
	_ tier.Replacer   = (*Store)(nil)
	_ tier.FileReader = (*Store)(nil)
)

// Open returns the store in a bucket. It looks for credentials, but asks the storage
// nothing: that there is no such bucket is found by the first use.
func Open(ctx context.Context, opt Options) (*Store, error) {
	opt.fill()
	if !validBucket(opt.Bucket) {
		return nil, fmt.Errorf("open store: %q is no name of a bucket", opt.Bucket)
	}
	opt.Prefix = strings.Trim(opt.Prefix, "/")
	if err := validPrefix(opt.Prefix); err != nil {
		return nil, fmt.Errorf("open store in bucket %s: %w", opt.Bucket, err)
	}
	s := &Store{
		opt: opt, budget: newBudget(), blocks: newBlocks(), slots: make(chan struct{}, opt.Uploads),
		clock: clock{opt.Now, opt.Sleep, opt.Jitter}, random: rand.Reader,
	}
	s.life, s.end = context.WithCancel(context.Background())
	if opt.Prefix != "" {
		s.base = opt.Prefix + "/"
	}
	if err := s.connect(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", s, err)
	}
	return s, nil
}

func (s *Store) key(name string) *string { return aws.String(s.base + name) }
func (s *Store) bucket() *string         { return &s.opt.Bucket }

// owner is the account that has to own the bucket, or nil.
func (s *Store) owner() *string {
	if s.opt.Owner == "" {
		return nil
	}
	return &s.opt.Owner
}

// String returns the address, s3://bucket/prefix.
func (s *Store) String() string {
	return strings.TrimSuffix(scheme+s.opt.Bucket+"/"+s.opt.Prefix, "/")
}

// Counts may be called at any time.
func (s *Store) Counts() Counts { return s.wire.read() }

// Close implements tier.Store.
func (s *Store) Close() error {
	if !s.closed.Swap(true) {
		s.end()
		s.close()
	}
	return nil
}

// check is what every method with a name does first.
func (s *Store) check(ctx context.Context, op, name string) error {
	if err := tier.ValidName(name); err != nil {
		return fmt.Errorf("%s in %s: %w", op, s, err)
	}
	return s.usable(ctx, op, name)
}

func (s *Store) usable(ctx context.Context, op, name string) error {
	if s.closed.Load() {
		return s.fail(op, name, fs.ErrClosed)
	}
	if ctx.Err() != nil {
		return s.fail(op, name, context.Cause(ctx))
	}
	return nil
}

// absent turns the answer that there is no such object into ErrNotExist. The answer to a HEAD
// has no code, so that a missing bucket looks the same there.
func absent(err error) error {
	a := answerOf(err)
	if a.code == "NoSuchKey" || a.status == http.StatusNotFound && a.code != "NoSuchBucket" && a.code != "NoSuchUpload" {
		return tier.ErrNotExist
	}
	return err
}

// Stat implements tier.Store.
func (s *Store) Stat(ctx context.Context, name string) (tier.Info, error) {
	if err := s.check(ctx, "stat", name); err != nil {
		return tier.Info{}, err
	}
	head, err := s.head(ctx, name)
	if err != nil {
		return tier.Info{}, s.fail("stat", name, err)
	}
	return tier.Info{Name: name, Size: aws.ToInt64(head.ContentLength), ModTime: aws.ToTime(head.LastModified)}, nil
}

func (s *Store) head(ctx context.Context, name string) (*s3.HeadObjectOutput, error) {
	var head *s3.HeadObjectOutput
	err := s.try(ctx, func(ctx context.Context) (err error) {
		head, err = s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: s.bucket(), Key: s.key(name), ExpectedBucketOwner: s.owner()})
		return err
	})
	return head, absent(err)
}

// ReadAt implements tier.Store, with one request or none. Where reads of a file follow one
// another, it fetches more than was asked for and keeps it for the next.
func (s *Store) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if err := s.check(ctx, "read", name); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, s.fail("read", name, fmt.Errorf("negative offset %d", off))
	}
	if len(p) == 0 {
		_, err := s.Stat(ctx, name)
		return 0, err
	}
	if len(p) < blockSize {
		near := s.blocks.follows(name, off, len(p))
		if n, ok, err := s.readNear(ctx, name, p, off, near); ok {
			return n, err
		}
	}
	return s.readAt(ctx, name, p, off)
}

// readAt reads with one request, which goes on where it broke off.
func (s *Store) readAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	n := 0
	err := s.try(ctx, func(ctx context.Context) error {
		got, err := s.readRange(ctx, name, p[n:], off+int64(n))
		n += got // what came need not come again
		return err
	})
	switch {
	case err == io.EOF:
		return n, io.EOF
	case err != nil:
		return n, s.fail("read", name, absent(err))
	}
	return n, nil
}

// readRange fills p, or returns io.EOF where the object ends.
func (s *Store) readRange(ctx context.Context, name string, p []byte, off int64) (int, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: s.bucket(), Key: s.key(name), ExpectedBucketOwner: s.owner(),
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1)),
	})
	if a := answerOf(err); a.status == http.StatusRequestedRangeNotSatisfiable {
		return 0, io.EOF
	}
	if err != nil {
		return 0, err
	}
	defer out.Body.Close()
	start, total, err := parseRange(aws.ToString(out.ContentRange))
	if err != nil || start != off {
		return 0, fmt.Errorf("%w: asked for bytes from %d on, it sent %q", ErrUnfit, off, aws.ToString(out.ContentRange))
	}
	want := min(int64(len(p)), total-off)
	n, err := io.ReadFull(out.Body, p[:want])
	switch {
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return n, fmt.Errorf("%w after %d of %d bytes", errBroken, n, want)
	case err != nil:
		return n, fmt.Errorf("%w after %d of %d bytes: %w", errBroken, n, want, err)
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// parseRange reads a header such as "bytes 0-99/1234".
func parseRange(text string) (start, total int64, err error) {
	rest, ok := strings.CutPrefix(text, "bytes ")
	span, size, ok2 := strings.Cut(rest, "/")
	first, _, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, fmt.Errorf("malformed range %q", text)
	}
	if start, err = strconv.ParseInt(first, 10, 64); err != nil {
		return 0, 0, fmt.Errorf("malformed range %q", text)
	}
	if total, err = strconv.ParseInt(size, 10, 64); err != nil || start < 0 || total <= start {
		return 0, 0, fmt.Errorf("malformed range %q", text)
	}
	return start, total, nil
}

// ReadFile implements tier.FileReader: one request where Stat and ReadAt would be two, or none
// when it was fetched ahead.
func (s *Store) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	if err := s.check(ctx, "read", name); err != nil {
		return nil, err
	}
	data := s.readAhead(ctx, name, limit)
	if data == nil {
		err := s.try(ctx, func(ctx context.Context) (err error) {
			data, err = s.readWhole(ctx, name, limit)
			return err
		})
		if err != nil {
			return nil, s.fail("read", name, absent(err))
		}
	}
	s.follow(name)
	return data, nil
}

func (s *Store) readWhole(ctx context.Context, name string, limit int64) ([]byte, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: s.bucket(), Key: s.key(name), ExpectedBucketOwner: s.owner()})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	size := aws.ToInt64(out.ContentLength)
	if out.ContentLength == nil {
		return nil, fmt.Errorf("%w: it does not say how long an object is", ErrUnfit)
	}
	if size > limit {
		return nil, fmt.Errorf("%d bytes, more than the limit of %d", size, limit)
	}
	data := make([]byte, size)
	if n, err := io.ReadFull(out.Body, data); err != nil {
		return nil, fmt.Errorf("%w after %d of %d bytes: %w", errBroken, n, size, err)
	}
	return data, nil
}

// List implements tier.Store, with one request for each 1000 objects.
func (s *Store) List(ctx context.Context, prefix, after string, yield func(tier.Info) error) error {
	if err := s.usable(ctx, "list", prefix); err != nil {
		return err
	}
	if prefix != "" && len(prefix) < 255 && tier.ValidName(prefix+"x") != nil {
		return nil // no name begins like this, and not every storage takes such a request
	}
	last, token := "", (*string)(nil)
	for {
		page, err := s.listed(ctx, prefix, after, token)
		if err != nil {
			return s.fail("list", prefix, err)
		}
		for _, o := range page.Contents {
			name, ours := strings.CutPrefix(aws.ToString(o.Key), s.base)
			if !ours || name <= after || tier.ValidName(name) != nil {
				continue
			}
			if name <= last {
				return s.fail("list", prefix, fmt.Errorf("%w: it does not list in the order of names (%s after %s); directory buckets are like this, use a general purpose bucket",
					ErrUnfit, name, last))
			}
			last = name
			if err := s.usable(ctx, "list", prefix); err != nil {
				return err
			}
			if err := yield(tier.Info{Name: name, Size: aws.ToInt64(o.Size), ModTime: aws.ToTime(o.LastModified)}); err != nil {
				return err
			}
		}
		token = page.NextContinuationToken
		if !aws.ToBool(page.IsTruncated) || token == nil {
			return nil
		}
	}
}

func (s *Store) listed(ctx context.Context, prefix, after string, token *string) (*s3.ListObjectsV2Output, error) {
	in := &s3.ListObjectsV2Input{Bucket: s.bucket(), Prefix: aws.String(s.base + prefix), ExpectedBucketOwner: s.owner()}
	if token != nil {
		in.ContinuationToken = token
	} else if after > prefix {
		in.StartAfter = aws.String(s.base + after)
	}
	var page *s3.ListObjectsV2Output
	err := s.try(ctx, func(ctx context.Context) (err error) {
		page, err = s.client.ListObjectsV2(ctx, in)
		return err
	})
	return page, err
}

// Delete implements tier.Store. It takes two requests, since S3 does not say whether there
// was anything to delete.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := s.check(ctx, "delete", name); err != nil {
		return err
	}
	if _, err := s.head(ctx, name); err != nil {
		return s.fail("delete", name, err)
	}
	err := s.remove(ctx, name)
	s.forget(name)
	if err != nil {
		return s.fail("delete", name, err)
	}
	return nil
}

// forget drops what was fetched of a file that has changed.
func (s *Store) forget(name string) {
	s.blocks.forget(name)
	s.ahead.take(name)
}

// remove deletes an object that may be gone already.
func (s *Store) remove(ctx context.Context, name string) error {
	err := s.try(ctx, func(ctx context.Context) error {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: s.bucket(), Key: s.key(name), ExpectedBucketOwner: s.owner()})
		return err
	})
	if errors.Is(absent(err), tier.ErrNotExist) {
		return nil
	}
	return err
}

// sleep waits in real time.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
