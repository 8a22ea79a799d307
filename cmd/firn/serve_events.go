package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/firnstore/firn/repo/notify"
	"github.com/firnstore/firn/repo/s3"
)

// eventTargets are those of the file --events-file.
type eventTargets map[string]*notify.Opened

// readEventsFile opens the targets in a file; without a name there are none.
func readEventsFile(name string) (eventTargets, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, usageError("--events-file: %w", err)
	}
	configs, err := notify.Parse(string(text), filepath.Dir(name))
	if err != nil {
		return nil, usageError("events file %s: %w", name, err)
	}
	targets, err := notify.Open(configs)
	if err != nil {
		return nil, usageError("events file %s: %w", name, err)
	}
	return targets, nil
}

// kinds of the targets by name.
func (t eventTargets) kinds() map[string]string {
	kinds := map[string]string{}
	for name, target := range t {
		kinds[name] = target.Kind
	}
	return kinds
}

// test sends a target a message and waits until it was taken.
func (t eventTargets) test(ctx context.Context, name string, message []byte) error {
	target := t[name]
	if target == nil {
		return errors.New("there is no such target")
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails
	m := notify.Message{ID: "test-" + hex.EncodeToString(id), Name: "s3:TestEvent", Time: time.Now().UTC(), Body: message}
	return target.Send(ctx, []notify.Message{m})[0]
}

// arns of the targets in the order of their names, as a QueueConfiguration wants them.
func (t eventTargets) arns(region string) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		list = append(list, s3.TargetARN("sqs", region, name, t[name].Kind))
	}
	return list
}

// deliverEvents delivers events until the function that it returns is called.
func (s *s3Server) deliverEvents(h *s3.Handler) (stop func(), err error) {
	id, err := serverID(s.e.Repository().Index().Path() + "-server")
	if err != nil {
		return nil, err
	}
	d := notify.Start(s.e, notify.Options{Server: id, Targets: s.targets, Message: h.EventMessage, Log: s.a.console.message})
	s.metrics.more = func(b *bytes.Buffer) { writeEventStats(b, d.Stats()) }
	return d.Stop, nil
}

// serverID returns the ID in a file, which is made if it is missing. The file lies beside the
// index, which one process has at a time: so a server that was killed goes on at once with
// what it was delivering.
func serverID(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err == nil && len(bytes.TrimSpace(text)) == 32 {
		return string(bytes.TrimSpace(text)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("ID of the server: %w", err)
	}
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // it never fails
	id := hex.EncodeToString(raw)
	if err := os.WriteFile(name, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("ID of the server: %w", err)
	}
	return id, nil
}

// writeEventStats writes the metrics of targets.
func writeEventStats(b *bytes.Buffer, list []notify.Stats) {
	for _, m := range []struct {
		name, kind, help string
		value            func(*notify.Stats) float64
	}{
		{"firn_events_pending", "gauge", "Events that wait for a target, up to ten seconds ago.", func(s *notify.Stats) float64 { return float64(s.Pending) }},
		{"firn_events_delivered_total", "counter", "Events that a target has confirmed to this server.", func(s *notify.Stats) float64 { return float64(s.Delivered) }},
		{"firn_events_failed_total", "counter", "Attempts to deliver an event that failed.", func(s *notify.Stats) float64 { return float64(s.Failed) }},
		{"firn_events_dropped_total", "counter", "Events that were given up for their age or number.", func(s *notify.Stats) float64 { return float64(s.Dropped) }},
	} {
		family(b, m.name, m.kind, m.help)
		for i := range list {
			fmt.Fprintf(b, "%s{target=%s} %s\n", m.name, label(list[i].Target), number(m.value(&list[i])))
		}
	}
}

// sayTargets tells the ARNs of targets.
func (s *s3Server) sayTargets() {
	if list := s.targets.arns(s.f.region); len(list) > 0 {
		s.a.console.message("events can go to " + strings.Join(list, ", "))
	}
}
