package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/remote"
)

// storage is how a repository in a bucket is reached: flags of every command, and keys of
// a profile.
type storage struct {
	Endpoint   string `toml:"s3-endpoint"`
	Region     string `toml:"s3-region"`
	AWSProfile string `toml:"s3-profile"`
	Addressing string `toml:"s3-addressing"`
	CAFile     string `toml:"s3-ca-file"`
	Owner      string `toml:"s3-owner"`
	Class      string `toml:"s3-storage-class"`
	Upload     string `toml:"limit-upload"`
	Download   string `toml:"limit-download"`
}

func (s *storage) addFlags(f *pflag.FlagSet) {
	f.StringVar(&s.Endpoint, "s3-endpoint", "", "`URL` of the server of an s3:// repository, when it is not AWS (firn help repositories)")
	f.StringVar(&s.Region, "s3-region", "", "region of the bucket")
	f.StringVar(&s.AWSProfile, "s3-profile", "", "profile of the AWS configuration to take credentials from")
	f.StringVar(&s.Addressing, "s3-addressing", "", "where the name of the bucket stands: path or host")
	f.StringVar(&s.CAFile, "s3-ca-file", "", "PEM file of certificates to trust")
	f.StringVar(&s.Owner, "s3-owner", "", "account that the bucket must belong to")
	f.StringVar(&s.Class, "s3-storage-class", "", "storage class of new packs")
	f.StringVar(&s.Upload, "limit-upload", "", "bytes per second to send at most, such as 4M")
	f.StringVar(&s.Download, "limit-download", "", "bytes per second to receive at most")
	// The topic has the others: most people need none, and every command would list all.
	for _, name := range []string{"s3-region", "s3-profile", "s3-addressing", "s3-ca-file", "s3-owner", "s3-storage-class", "limit-upload", "limit-download"} {
		_ = f.MarkHidden(name)
	}
}

// over returns s where it says something, else what is below it.
func (s storage) over(below storage) storage {
	for _, p := range []struct{ top, below *string }{
		{&s.Endpoint, &below.Endpoint}, {&s.Region, &below.Region}, {&s.AWSProfile, &below.AWSProfile},
		{&s.Addressing, &below.Addressing}, {&s.CAFile, &below.CAFile}, {&s.Owner, &below.Owner}, {&s.Class, &below.Class},
		{&s.Upload, &below.Upload}, {&s.Download, &below.Download},
	} {
		*p.top = firstOf(*p.top, *p.below)
	}
	return s
}

// archived are the classes that have to be thawed before they can be read.
var archived = []string{"GLACIER", "DEEP_ARCHIVE"}

// options translates for tier/remote.
func (s storage) options(address string) (remote.Options, error) {
	opt := remote.Options{Endpoint: s.Endpoint, Region: s.Region, Profile: s.AWSProfile, Owner: s.Owner}
	var err error
	if opt.Bucket, opt.Prefix, err = remote.ParseAddress(address); err != nil {
		return opt, usageError("repository: %w", err)
	}
	switch opt.Addressing = remote.Addressing(s.Addressing); opt.Addressing {
	case remote.AddressAuto, remote.AddressPath, remote.AddressHost:
	default:
		return opt, usageError("--s3-addressing %s: want path or host", s.Addressing)
	}
	if slices.Contains(archived, s.Class) {
		return opt, usageError("--s3-storage-class %s: what is in it cannot be read until it is thawed; want a class that is read at once, such as STANDARD_IA or GLACIER_IR", s.Class)
	}
	if s.Class != "" {
		opt.Class = func(name string) string {
			if strings.HasPrefix(name, "packs/") {
				return s.Class // small files stay where they are cheap
			}
			return ""
		}
	}
	if opt.UploadRate, err = parseRate("--limit-upload", s.Upload); err != nil {
		return opt, err
	}
	if opt.DownloadRate, err = parseRate("--limit-download", s.Download); err != nil {
		return opt, err
	}
	if s.CAFile != "" {
		if opt.CA, err = os.ReadFile(s.CAFile); err != nil {
			return opt, usageError("--s3-ca-file: %w", err)
		}
	}
	return opt, nil
}

func parseRate(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := parseSize(text)
	if err == nil && n < 1<<10 {
		err = fmt.Errorf("%q is less than 1 KiB per second", text)
	}
	if err != nil {
		return 0, usageError("%s: %w", flag, err)
	}
	return n, nil
}

// openBucket opens the store in a bucket.
func (a *app) openBucket(ctx context.Context, p *profile) (*remote.Store, error) {
	opt, err := p.options(p.Repository)
	if err != nil {
		return nil, err
	}
	opt.Lost = a.lose
	a.bucket, err = remote.Open(ctx, opt)
	return a.bucket, err
}

// deadUpload is the age at which an upload that was not ended counts as one of a process
// that died. A pack takes minutes.
const deadUpload = 24 * time.Hour

// abortUploads removes from the bucket, if there is one, what dead processes left there. The
// rights to do so are of their own, so that it is no error when they are missing.
func (a *app) abortUploads(ctx context.Context) {
	if a.bucket == nil {
		return
	}
	n, err := a.bucket.AbortUploads(ctx, deadUpload)
	if err != nil && ctx.Err() == nil {
		a.console.message(fmt.Sprintf("cannot look for uploads that never ended: %v; a lifecycle rule of the bucket can remove them", err))
	}
	if n > 0 && !a.flags.quiet {
		a.console.message(fmt.Sprintf("removed the parts of %s that never ended", counted(int64(n), "upload", "uploads")))
	}
}

// requestsObject is what --requests prints with --json.
type requestsObject struct {
	Type     string                `json:"type"`
	Requests map[remote.Kind]int64 `json:"requests"`
	Retries  int64                 `json:"retries"`
	Sent     int64                 `json:"bytes_sent"`
	Received int64                 `json:"bytes_received"`
}

// tellRequests says what a command asked of the storage.
func (a *app) tellRequests(store tier.Store) {
	s, ok := store.(*remote.Store)
	if !ok || !a.flags.requests {
		return
	}
	c := s.Counts()
	if a.flags.json {
		a.event(requestsObject{"requests", c.Requests, c.Retries, c.Sent, c.Received})
		return
	}
	var kinds []string
	for kind, n := range c.Requests {
		kinds = append(kinds, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(kinds)
	a.console.message(fmt.Sprintf("%s (%s), %s, sent %s, received %s", counted(c.Total(), "request", "requests"), strings.Join(kinds, ", "),
		counted(c.Retries, "retry", "retries"), humanSize(c.Sent), humanSize(c.Received)))
}

// errFound ends a listing.
var errFound = errors.New("found")

// makeBucketStore opens the place of a new repository in a bucket. It refuses one where
// something else lies, and a storage on which a repository would not be safe.
func (a *app) makeBucketStore(ctx context.Context, p *profile) (tier.Store, error) {
	s, err := a.openBucket(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := a.suitable(ctx, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (a *app) suitable(ctx context.Context, s *remote.Store) error {
	foreign, err := s.Foreign(ctx)
	if err != nil {
		return err
	}
	if foreign == "" {
		if foreign, err = firstForeign(ctx, s); err != nil {
			return err
		}
	}
	if foreign != "" {
		return fmt.Errorf("%s is not empty: it holds %s, and is no firn repository; name a prefix that is free, such as %s/firn", s, foreign, s)
	}
	if err := s.Probe(ctx); err != nil {
		return err
	}
	if s.Versioned(ctx) {
		a.console.message(fmt.Sprintf("%s keeps versions: what firn deletes goes on taking space until a lifecycle rule of the bucket removes noncurrent versions", s))
	}
	return nil
}

// firstForeign returns a file that is not of a repository. What is left of an init that was
// interrupted, or of a repository that lost its config, repo.Init refuses.
func firstForeign(ctx context.Context, s tier.Store) (string, error) {
	switch _, err := s.Stat(ctx, "config"); {
	case err == nil:
		return "", fmt.Errorf("a repository in %s %w", s, repo.ErrExists)
	case !errors.Is(err, tier.ErrNotExist):
		return "", err
	}
	found := ""
	err := s.List(ctx, "", "", func(i tier.Info) error {
		if strings.HasPrefix(i.Name, "keys/") || strings.HasPrefix(i.Name, "probe-") || i.Name == index.CommitName(1) {
			return nil
		}
		found = i.Name
		return errFound
	})
	if err != nil && !errors.Is(err, errFound) {
		return "", err
	}
	return found, nil
}
