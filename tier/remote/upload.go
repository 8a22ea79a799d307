package remote

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// upload is a multipart upload, whose parts are sent at the same time. Its methods other
// than those of its goroutines belong to one writer.
type upload struct {
	s           *Store
	name, nonce string
	ctx         context.Context // ends with the first failure, which is its cause
	cancel      context.CancelCauseFunc
	running     sync.WaitGroup
	sent        int32 // parts

	begin sync.Once
	id    *string // nil when it could not begin

	mu   sync.Mutex
	done []types.CompletedPart
}

// send sends the next part and calls free when its bytes are no longer needed.
func (u *upload) send(data []byte, free func()) {
	u.sent++
	number := u.sent
	u.running.Go(func() {
		defer free()
		if err := u.part(number, data); err != nil {
			u.cancel(err)
		}
	})
}

// begun makes sure that there is an upload.
func (u *upload) begun() error {
	u.begin.Do(func() {
		err := u.s.try(u.ctx, func(ctx context.Context) error {
			out, err := u.s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
				Bucket: u.s.bucket(), Key: u.s.key(u.name), ExpectedBucketOwner: u.s.owner(),
				ContentType: aws.String("application/octet-stream"), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
				Metadata: map[string]string{nonceKey: u.nonce}, StorageClass: types.StorageClass(u.s.opt.Class(u.name)),
			})
			if err == nil {
				u.id = out.UploadId
			}
			return err
		})
		if err != nil {
			u.cancel(fmt.Errorf("begin upload: %w", err))
		}
	})
	return context.Cause(u.ctx)
}

func (u *upload) part(number int32, data []byte) error {
	if err := u.begun(); err != nil {
		return err
	}
	sum := checksum(data)
	var tag *string
	err := u.s.try(u.ctx, func(ctx context.Context) error {
		out, err := u.s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: u.s.bucket(), Key: u.s.key(u.name), ExpectedBucketOwner: u.s.owner(), UploadId: u.id, PartNumber: &number,
			Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))), ChecksumCRC32C: &sum,
		})
		if err == nil {
			tag = out.ETag
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("send part %d: %w", number, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done = append(u.done, types.CompletedPart{PartNumber: &number, ETag: tag, ChecksumCRC32C: &sum})
	return nil
}

// wait returns when every part has arrived, or the first error.
func (u *upload) wait() error {
	u.running.Wait()
	return context.Cause(u.ctx)
}

// complete makes the file visible.
func (u *upload) complete(ctx context.Context, condition *string) error {
	slices.SortFunc(u.done, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	return u.s.try(ctx, func(ctx context.Context) error {
		_, err := u.s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: u.s.bucket(), Key: u.s.key(u.name), ExpectedBucketOwner: u.s.owner(), UploadId: u.id, IfNoneMatch: condition,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: u.done},
		})
		return err
	})
}

// abortTime bounds the removal of an upload. What remains costs money but does no harm.
const abortTime = 20 * time.Second

// end removes the parts of an upload that failed, also when the context of the writer has
// ended.
func (u *upload) end(failed bool) error {
	u.cancel(context.Canceled)
	u.running.Wait()
	if !failed || u.id == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), abortTime)
	defer cancel()
	return u.s.abort(ctx, u.name, u.id)
}

// abort removes an upload that may be gone already.
func (s *Store) abort(ctx context.Context, name string, id *string) error {
	err := s.try(ctx, func(ctx context.Context) error {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
			Bucket: s.bucket(), Key: s.key(name), UploadId: id, ExpectedBucketOwner: s.owner()})
		return err
	})
	if a := answerOf(err); a.code == "NoSuchUpload" || a.status == 404 {
		return nil
	}
	return err
}
