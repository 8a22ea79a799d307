package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo"
	"github.com/firnstore/firn/repo/s3"
)

// objectLine is an object of a bucket in JSON.
type objectLine struct {
	Key       string            `json:"key"`
	KeyBase64 string            `json:"key_base64,omitempty"` // when the key is not UTF-8
	Type      string            `json:"type"`                 // object, or prefix
	Size      int64             `json:"size"`
	Time      *time.Time        `json:"mtime,omitempty"`
	ETag      string            `json:"etag,omitempty"`
	Version   string            `json:"version_id,omitempty"`
	Class     string            `json:"storage_class,omitempty"`
	User      map[string]string `json:"metadata,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
}

func objectLineOf(v *index.Version) *objectLine {
	t := time.Unix(0, v.Time).UTC()
	o := &objectLine{Key: string(v.Key), Type: "object", Size: s3.ObjectSize(v), Time: &t, ETag: s3.ObjectETag(v),
		Version: v.ID.String(), Class: v.Class, User: v.User, Tags: v.Tags}
	o.encode()
	return o
}

func (o *objectLine) encode() {
	if !utf8.ValidString(o.Key) {
		o.KeyBase64 = base64.StdEncoding.EncodeToString([]byte(o.Key))
		o.Key = strings.ToValidUTF8(o.Key, "\uFFFD")
	}
}

// lsBucket lists a bucket as a directory is listed: what lies behind the next slash is one
// line, unless everything is asked for.
func (a *app) lsBucket(ctx context.Context, r *repo.Repository, p *place, f *lsFlags) error {
	from, any := "", false
	for {
		past := p.objects()
		past.From = from
		from = ""
		for v, err := range past.Objects(r) {
			if err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			any = true
			rest := string(v.Key)[len(p.prefix):]
			if i := strings.IndexByte(rest, '/'); i >= 0 && !f.recursive {
				common := p.prefix + rest[:i+1]
				if err := a.lsObject(&objectLine{Key: common, Type: "prefix"}, f); err != nil {
					return err
				}
				from = common[:len(common)-1] + "0" // the byte behind the slash: on behind all that is below
				break
			}
			if err := a.lsObject(objectLineOf(v), f); err != nil {
				return err
			}
		}
		if from == "" {
			break
		}
	}
	if !any && p.prefix != "" {
		return fmt.Errorf("s3:%s/%s: %w", p.bucket, p.prefix, repo.ErrNotFound)
	}
	return nil
}

func (a *app) lsObject(o *objectLine, f *lsFlags) error {
	if a.flags.json {
		o.encode()
		return a.result(o)
	}
	name := o.Key
	if term.IsTerminal(int(a.stdout.Fd())) {
		name = visible(name)
	}
	var err error
	switch {
	case !f.long:
		_, err = fmt.Fprintln(a.out, name)
	case o.Time == nil:
		_, err = fmt.Fprintf(a.out, "%12s %16s %s\n", "", "", name)
	default:
		_, err = fmt.Fprintf(a.out, "%12d %s %s\n", o.Size, o.Time.Local().Format("2006-01-02 15:04"), name)
	}
	return err
}
