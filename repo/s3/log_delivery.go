package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

// DefaultLogEvery is how long lines of access logs wait for their delivery.
const DefaultLogEvery = 5 * time.Minute

// KeepLogs makes the handler write server access logs for the buckets that ask for them:
// a line for each request goes to a file in dir, and those files become objects in the target
// buckets when DeliverLogs is called. warn is told what goes wrong. To be called before the
// first request.
func (h *Handler) KeepLogs(dir string, warn func(string)) (err error) {
	h.logWarn = warn
	h.logs, err = openLogSpool(dir)
	return err
}

// CloseLogs lets go of the files. Lines that were not delivered stay for the next server.
func (h *Handler) CloseLogs() error { return h.logs.close() }

// LogsWaiting returns a channel that gets something when so many lines wait that they
// should be delivered now.
func (h *Handler) LogsWaiting() <-chan struct{} { return h.logs.full }

// DeliverLogs delivers what waits. Lines whose target is gone, or does not let them in, are
// given up and warn is told; after another error they wait for the next call. A crash in
// the middle delivers some twice. One call at a time.
func (h *Handler) DeliverLogs(ctx context.Context) error {
	files, lost, err := h.logs.waiting()
	if lost > 0 {
		h.logWarn(fmt.Sprintf("access logs could not be delivered for long: %d files of lines are given up", lost))
	}
	for _, n := range files {
		if err == nil {
			err = h.deliverFile(ctx, n)
		}
	}
	return err
}

// logBatch are lines that go into one object.
type logBatch struct {
	bucket string
	day    string // as in the lines
	lines  bytes.Buffer
}

func (h *Handler) deliverFile(ctx context.Context, n uint64) error {
	batches := map[string]*logBatch{}
	err := h.logs.read(n, func(bucket string, line []byte) {
		day := lineDay(line)
		b := batches[bucket+" "+day]
		if b == nil {
			b = &logBatch{bucket: bucket, day: day}
			batches[bucket+" "+day] = b
		}
		b.lines.Write(line)
		b.lines.WriteByte('\n')
	})
	if err != nil {
		return err
	}
	var order []string
	for name := range batches {
		order = append(order, name)
	}
	slices.Sort(order)
	for _, name := range order {
		b := batches[name]
		err := h.deliverBatch(ctx, b)
		var refused *apiError
		switch {
		case errors.As(err, &refused), errors.Is(err, object.ErrNoBucket):
			h.logWarn(fmt.Sprintf("access log of bucket %s: %d bytes are given up: %v", b.bucket, b.lines.Len(), err))
		case err != nil:
			return fmt.Errorf("access log of bucket %s: %w", b.bucket, err)
		}
	}
	return h.logs.remove(n)
}

// lineDay is the day of a line: 20/Nov/2026.
func lineDay(line []byte) string {
	_, rest, _ := bytes.Cut(line, []byte(" ["))
	day, _, _ := bytes.Cut(rest, []byte(":"))
	return string(day)
}

// deliverBatch puts lines into the target bucket, as its owner.
func (h *Handler) deliverBatch(ctx context.Context, batch *logBatch) error {
	b, err := h.e.Bucket(batch.bucket)
	if err != nil {
		return err
	}
	source, err := h.settingsOf(b)
	if err != nil || source.logging == nil {
		return err // nobody wants them any more
	}
	l := source.logging
	target, err := h.e.Bucket(l.TargetBucket)
	if err != nil {
		return err
	}
	set, err := h.settingsOf(target)
	if err != nil {
		return err
	}
	now := h.e.Now()
	if !mayDeliverLogs(set, source, l.TargetPrefix, now) {
		return errorf("AccessDenied", "bucket %s does not let the log service in", target.Name)
	}
	day, err := time.Parse("02/Jan/2006", batch.day)
	if err != nil {
		return errorf("InvalidArgument", "no time in the lines")
	}
	sum := sha256.Sum256(append([]byte(batch.bucket+"\x00"), batch.lines.Bytes()...))
	key := l.logKey(source.owner, h.region(b), b.Name, day, now, strings.ToUpper(hex.EncodeToString(sum[:8])))
	if len(key) > maxKey {
		return errorf("KeyTooLongError", "")
	}
	head := l.TargetGrants.headers()
	head.Set("Content-Type", "text/plain")
	head.Set("X-Amz-Acl", "bucket-owner-full-control")
	if len(head) > 2 { // grants and a canned ACL exclude each other
		head.Del("X-Amz-Acl")
	}
	q := &request{
		h: h, bucket: target.Name, key: key, b: target, set: set, now: now.UTC(), id: newID(8), op: putOp, query: url.Values{},
		who: &access.Principal{ID: set.owner}, r: (&http.Request{Method: http.MethodPut, Header: http.Header{}, URL: &url.URL{Path: "/"}}).WithContext(ctx),
	}
	p, err := q.newPut(head, int64(batch.lines.Len()))
	if err != nil {
		return err
	}
	_, err = q.put(p, bytes.NewReader(batch.lines.Bytes()))
	return err
}

// putOp is the operation as which logs are delivered.
var putOp = objectOp("PutObject")

// headers say the grants as a PUT of an object does.
func (t *targetGrants) headers() http.Header {
	head := http.Header{}
	if t == nil {
		return head
	}
	names := map[string]string{string(access.Full): "X-Amz-Grant-Full-Control", string(access.Read): "X-Amz-Grant-Read", string(access.Write): "X-Amz-Grant-Write"}
	for _, g := range t.Grant {
		name, who := names[g.Permission], `id="`+g.Grantee.ID+`"`
		if g.Grantee.URI != "" {
			who = `uri="` + g.Grantee.URI + `"`
		}
		if have := head.Get(name); have != "" {
			who = have + ", " + who
		}
		head.Set(name, who)
	}
	return head
}

// keepLog adds the line of a request to the spool, when its bucket wants that.
func (q *request) keepLog(rec *Record, site bool) {
	if q.h.logs == nil || q.set == nil || q.set.logging == nil {
		return
	}
	l := &logged{Record: rec, Owner: q.set.owner, Operation: logName(q.op, q.r.Method, site), Size: -1, HostID: q.h.hostID}
	if q.user != nil {
		l.User = q.user.ID
	}
	for _, v := range []*index.Version{q.v, q.made} {
		if v != nil {
			l.Size = objectSize(v)
		}
	}
	if err := q.h.logs.add(q.set.b.Name, l.line()); err != nil {
		q.h.logWarn(err.Error())
	}
}
