package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/firnstore/firn/tier"
)

// Probe finds out whether a repository of several writers can live here: whether the
// credentials may write, read, list and delete, and whether a second file of a name is
// refused, sent whole or in parts. It returns an error that is ErrUnfit when not. It
// leaves nothing behind, as long as it may delete.
func (s *Store) Probe(ctx context.Context) error {
	nonce, err := s.newNonce()
	if err != nil {
		return s.fail("probe", "", err)
	}
	name := "probe-" + nonce
	if err := s.check(ctx, "probe", name); err != nil {
		return err
	}
	err = s.probe(ctx, name)
	if rerr := s.remove(context.WithoutCancel(ctx), name); rerr != nil && err == nil {
		err = fmt.Errorf("delete: %w", rerr)
	}
	if err != nil {
		return fmt.Errorf("probe %s: %w", s, s.explain(err))
	}
	return nil
}

func (s *Store) probe(ctx context.Context, name string) error {
	data := []byte("firn looks whether this storage keeps its promises; this file may be deleted\n")
	if err := tier.Put(ctx, s, name, data); err != nil {
		return err
	}
	const next = "two writers would overwrite the work of each other; use a storage or a version of it that has conditional writes"
	if err := tier.Put(ctx, s, name, data); !errors.Is(err, tier.ErrExist) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: it ignores If-None-Match with PUT; %s", ErrUnfit, next)
	}
	if err := s.probeParts(ctx, name, data); !errors.Is(err, tier.ErrExist) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: it ignores If-None-Match at the end of a multipart upload; %s", ErrUnfit, next)
	}
	part := make([]byte, 4)
	if _, err := s.ReadAt(ctx, name, part, 5); err != nil {
		return err
	}
	if string(part) != string(data[5:9]) {
		return fmt.Errorf("%w: it does not give back the bytes it was given", ErrUnfit)
	}
	found := false
	err := s.List(ctx, name, "", func(i tier.Info) error { found = found || i.Name == name; return nil })
	if err == nil && !found {
		err = fmt.Errorf("%w: it does not list an object that was just written", ErrUnfit)
	}
	return err
}

// probeParts sends a file in one part.
func (s *Store) probeParts(ctx context.Context, name string, data []byte) error {
	f, err := s.begin(ctx, name, false)
	if err != nil {
		return err
	}
	w := f.(*writer)
	w.buf = data
	w.flush()
	return w.Commit()
}

// Foreign returns the key of an object below the prefix that is no file of the store, or "".
func (s *Store) Foreign(ctx context.Context) (string, error) {
	if err := s.usable(ctx, "list", ""); err != nil {
		return "", err
	}
	page, err := s.listed(ctx, "", "", nil)
	if err != nil {
		return "", s.fail("list", "", err)
	}
	for _, o := range page.Contents {
		name := strings.TrimPrefix(aws.ToString(o.Key), s.base)
		if name != "" && tier.ValidName(name) != nil { // consoles make an empty object for a folder
			return aws.ToString(o.Key), nil
		}
	}
	return "", nil
}

// Versioned reports whether the bucket keeps what is deleted as older versions, which takes
// space until a rule of the bucket removes them. It says no when it cannot be known.
func (s *Store) Versioned(ctx context.Context) bool {
	out, err := s.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: s.bucket(), ExpectedBucketOwner: s.owner()})
	return err == nil && out.Status == types.BucketVersioningStatusEnabled
}

// AbortUploads removes the parts of multipart uploads below the prefix that were begun more
// than age ago, by the clock of the storage, and returns how many. An upload that is still under way
// loses its parts and fails when it is committed, so age is to be longer than any takes.
func (s *Store) AbortUploads(ctx context.Context, age time.Duration) (int, error) {
	if err := s.usable(ctx, "list uploads of", ""); err != nil {
		return 0, err
	}
	// Without the prefix: MinIO takes one only if it is a whole name.
	in := &s3.ListMultipartUploadsInput{Bucket: s.bucket(), ExpectedBucketOwner: s.owner()}
	aborted := 0
	for {
		var page *s3.ListMultipartUploadsOutput
		err := s.try(ctx, func(ctx context.Context) (err error) {
			page, err = s.client.ListMultipartUploads(ctx, in)
			return err
		})
		if err != nil {
			return aborted, s.describe("list uploads of", "", err)
		}
		now, ok := awsmiddleware.GetServerTime(page.ResultMetadata)
		if !ok {
			now = s.clock.now()
		}
		for _, u := range page.Uploads {
			name, ours := strings.CutPrefix(aws.ToString(u.Key), s.base)
			if !ours || tier.ValidName(name) != nil || u.Initiated == nil || now.Sub(*u.Initiated) < age {
				continue
			}
			if err := s.abort(ctx, name, u.UploadId); err != nil {
				return aborted, s.describe("abort upload of", name, err)
			}
			aborted++
		}
		if !aws.ToBool(page.IsTruncated) || page.NextKeyMarker == nil {
			return aborted, nil
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}
