package s3

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/firnstore/firn/repo/object"
)

// Names of KMS keys stand for keys of the bucket. Each is made when it is first used, from
// random bytes, kept with the settings of the bucket, which the log seals, and gone with
// the bucket: so the data of a bucket can be destroyed by destroying its keys.
const (
	confKMS       = "kms:" // + name
	defaultKMSKey = "alias/aws/s3"
	maxKMSName    = 2048
	maxKMSKeys    = 100 // of a bucket
)

// isKMS reports whether a method of encryption takes a key of KMS.
func isKMS(sse string) bool { return sse == "aws:kms" || sse == "aws:kms:dsse" }

// checkKMSName refuses what cannot be the name of a key.
func checkKMSName(name string) error {
	bad := name == "" || len(name) > maxKMSName || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
	if bad {
		return errorf("KMS.NotFoundException", "Invalid keyId '%s'", name)
	}
	return nil
}

// kmsKey returns a key of a bucket that was made before.
func (h *Handler) kmsKey(bucket, name string) ([]byte, error) {
	b, err := h.e.Bucket(bucket)
	if err != nil {
		return nil, err
	}
	return decodeKMSKey(b, name)
}

func decodeKMSKey(b *object.Bucket, name string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(b.Config[confKMS+name])
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("bucket %s: key %q is not there", b.Name, name)
	}
	return key, nil
}

// makeKMSKey returns a key of a bucket, and makes it if there is none.
func (h *Handler) makeKMSKey(ctx context.Context, b *object.Bucket, name string) (key []byte, err error) {
	if b.Config[confKMS+name] != "" {
		return decodeKMSKey(b, name)
	}
	fresh := make([]byte, keySize)
	_, _ = rand.Read(fresh) // it never fails
	err = h.e.EditBucket(ctx, b.Name, func(b *object.Bucket) (err error) {
		if b.Config[confKMS+name] == "" {
			if countKMSKeys(b) >= maxKMSKeys {
				return errorf("InvalidArgument", "The bucket has %d keys; no more can be made.", maxKMSKeys)
			}
			if b.Config == nil {
				b.Config = map[string]string{}
			}
			b.Config[confKMS+name] = base64.StdEncoding.EncodeToString(fresh)
		}
		key, err = decodeKMSKey(b, name)
		return err
	})
	return key, err
}

func countKMSKeys(b *object.Bucket) (n int) {
	for name := range b.Config {
		if strings.HasPrefix(name, confKMS) {
			n++
		}
	}
	return n
}
