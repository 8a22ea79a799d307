package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/firnstore/firn/repo/s3"
)

// accessLog writes a line of JSON for each request. It is safe for concurrent use.
type accessLog struct {
	name string // "" when it is not a file of ours
	warn func(string)

	mu     sync.Mutex
	out    io.WriteCloser
	failed bool // the last line could not be written, which was told
}

// accessLine is a line of the access log; docs/s3.md describes it.
type accessLine struct {
	Type      string  `json:"type"` // "request"
	Time      string  `json:"time"`
	ID        string  `json:"id"`
	Remote    string  `json:"remote"`
	Requester string  `json:"requester,omitempty"`
	Operation string  `json:"operation,omitempty"`
	Method    string  `json:"method"`
	URI       string  `json:"uri"`
	Host      string  `json:"host,omitempty"`
	Bucket    string  `json:"bucket,omitempty"`
	Key       string  `json:"key,omitempty"`
	Version   string  `json:"version_id,omitempty"`
	Status    int     `json:"status"`
	Code      string  `json:"code,omitempty"`
	Error     string  `json:"error,omitempty"`
	In        int64   `json:"bytes_in"`
	Out       int64   `json:"bytes_out"`
	Seconds   float64 `json:"seconds"`
	UserAgent string  `json:"user_agent,omitempty"`
	Referer   string  `json:"referer,omitempty"`
	Signature string  `json:"signature,omitempty"`
	Auth      string  `json:"auth,omitempty"`
	TLS       string  `json:"tls,omitempty"`
}

func openAccessLog(name string, stdout io.Writer, warn func(string)) (*accessLog, error) {
	l := &accessLog{name: name, warn: warn}
	if name == "-" {
		l.name, l.out = "", keepOpen{stdout}
		return l, nil
	}
	return l, l.reopen()
}

// keepOpen is a stream that is somebody else's to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// reopen opens the file by its name again, after it was moved away. After an error the
// log goes on in the file before.
func (l *accessLog) reopen() error {
	if l.name == "" {
		return nil
	}
	f, err := os.OpenFile(l.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open the access log: %w", err)
	}
	l.mu.Lock()
	before := l.out
	l.out, l.failed = f, false
	l.mu.Unlock()
	if before != nil {
		return before.Close()
	}
	return nil
}

// record writes the line of a request. A full disk stops no request; it is told once.
func (l *accessLog) record(r *s3.Record) {
	line := accessLineOf(r)
	l.mu.Lock()
	_, err := l.out.Write(line)
	tell := err != nil && !l.failed
	l.failed = err != nil
	l.mu.Unlock()
	if tell {
		l.warn(fmt.Sprintf("access log: %v; lines are lost", err))
	}
}

func (l *accessLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Close()
}

func accessLineOf(r *s3.Record) []byte {
	line := accessLine{
		Type: "request", Time: r.Time.UTC().Format("2006-01-02T15:04:05.000Z"), ID: r.ID, Remote: r.Remote,
		Requester: r.Requester, Operation: r.Operation, Method: r.Method, URI: s3.WithoutSignature(r.URI), Host: r.Host,
		Bucket: r.Bucket, Key: r.Key, Version: r.VersionID, Status: r.Status, Code: r.Code, In: r.In, Out: r.Out,
		Seconds:   r.Duration.Round(time.Microsecond).Seconds(),
		UserAgent: r.UserAgent, Referer: s3.WithoutSignature(r.Referer), Signature: r.Scheme, Auth: r.AuthType, TLS: r.TLS,
	}
	if r.Err != nil {
		line.Error = r.Err.Error()
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&line); err != nil {
		panic("firn: " + err.Error()) // strings and numbers always encode
	}
	return visibleJSON(b.Bytes())
}
