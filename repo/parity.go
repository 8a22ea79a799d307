package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/parity"
)

// The parity of a file has its name behind parityFolder; that of commits has the numbers
// of the first and the last.
const parityFolder = "parity/"

// DefaultParity is the percentage that is taken when none is given.
const DefaultParity = parity.DefaultPercent

func parityName(file string) string { return parityFolder + file }

// keyParity of table setting: the percentage.
var keyParity = []byte("parity")

// Parity returns the percentage of parity that new files get; 0: none.
func (r *Repository) Parity() (percent int, err error) {
	v, err := r.index.Row(tableSetting, keyParity)
	if errors.Is(err, index.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var n uint8
	if err := index.Unmarshal(v, &n); err != nil || n > 100 {
		return 0, fmt.Errorf("setting %q: %w: not a percentage", keyParity, ErrDamaged)
	}
	return int(n), nil
}

// SetParity makes files written from now on get parity of a percentage from 1 to 100, or
// with 0 none. Files that are there get it from Scrub.
func (r *Repository) SetParity(ctx context.Context, percent int) error {
	row, err := parityRow(percent)
	if err != nil {
		return err
	}
	return r.once(ctx, Ops{Rows: []index.Row{row}})
}

func parityRow(percent int) (row index.Row, err error) {
	row = index.Row{Table: tableSetting, Key: keyParity}
	if percent < 0 || percent > 100 {
		return row, fmt.Errorf("parity of %d percent: want 0 to 100", percent)
	}
	if percent > 0 {
		row.Value, err = index.Marshal(uint8(percent))
	}
	return row, err
}

// RemoveParity removes every parity file and returns their bytes.
func (r *Repository) RemoveParity(ctx context.Context) (bytes int64, err error) {
	err = r.store.List(ctx, parityFolder, "", func(fi tier.Info) error {
		err := r.store.Delete(ctx, fi.Name)
		if err == nil {
			bytes += fi.Size
		} else if errors.Is(err, tier.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err != nil {
		return bytes, fmt.Errorf("remove parity: %w", err)
	}
	return bytes, nil
}

// ParityStatus tells what is protected.
type ParityStatus struct {
	Percent     int     `json:"percent"`
	Packs       PackSum `json:"packs"`       // in files
	Protected   PackSum `json:"protected"`   // of those
	Commits     uint64  `json:"commits"`     // of the log
	LogCovered  uint64  `json:"log_covered"` // of those
	Files       int64   `json:"files"`       // of parity
	ParityBytes int64   `json:"parity_bytes"`
}

// ParityStatus counts, by the names of files alone.
func (r *Repository) ParityStatus(ctx context.Context) (*ParityStatus, error) {
	s := &ParityStatus{}
	var err error
	if s.Percent, err = r.Parity(); err != nil {
		return nil, err
	}
	protected := map[string]bool{}
	var groups []logGroup
	err = r.store.List(ctx, parityFolder, "", func(fi tier.Info) error {
		s.Files++
		s.ParityBytes += fi.Size
		if g, ok := parseLogGroup(fi); ok {
			groups = append(groups, g)
		} else {
			protected[strings.TrimPrefix(fi.Name, parityFolder)] = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list parity: %w", err)
	}
	err = r.index.Packs(func(p *index.Pack) error {
		if p.Seq == 0 {
			s.Packs.add(p.Record.Size)
			if protected[p.Record.ID.Name()] {
				s.Protected.add(p.Record.Size)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if s.Commits, _, err = r.index.Applied(); err != nil {
		return nil, err
	}
	s.LogCovered = s.Commits
	for _, gap := range uncovered(groups, s.Commits) {
		s.LogCovered -= gap.last - gap.first + 1
	}
	return s, nil
}

// stretch is a run of commits.
type stretch struct{ first, last uint64 }

// logGroup is the parity file of a stretch of the log.
type logGroup struct {
	stretch
	name string
	size int64
}

func (s stretch) parityName() string {
	return fmt.Sprintf("%slog/%06x/%016x-%016x", parityFolder, s.first/4096, s.first, s.last)
}

func parseLogGroup(fi tier.Info) (g logGroup, ok bool) {
	var dir uint64
	n, err := fmt.Sscanf(fi.Name, parityFolder+"log/%x/%x-%x", &dir, &g.first, &g.last)
	g.name, g.size = fi.Name, fi.Size
	return g, n == 3 && err == nil && g.first >= 1 && g.first <= g.last && g.parityName() == fi.Name
}

// logGroups lists them, in the order of their first commits, the longest first of those
// that begin at the same.
func logGroups(ctx context.Context, store tier.Store) (groups []logGroup, err error) {
	err = store.List(ctx, parityFolder+"log/", "", func(fi tier.Info) error {
		if g, ok := parseLogGroup(fi); ok {
			groups = append(groups, g)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list parity of the log: %w", err)
	}
	slices.SortFunc(groups, compareGroups)
	return groups, nil
}

func compareGroups(a, b logGroup) int {
	return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last))
}

// uncovered returns the stretches of the commits 1 to head that no group covers.
func uncovered(groups []logGroup, head uint64) (gaps []stretch) {
	groups = slices.Clone(groups)
	slices.SortFunc(groups, compareGroups)
	next := uint64(1)
	for _, g := range groups {
		if g.first > next && next <= head {
			gaps = append(gaps, stretch{next, min(g.first-1, head)})
		}
		next = max(next, g.last+1)
	}
	if next <= head {
		gaps = append(gaps, stretch{next, head})
	}
	return gaps
}

// superseded returns the groups that another one covers whole.
func superseded(groups []logGroup) (old []logGroup) {
	groups = slices.Clone(groups)
	slices.SortFunc(groups, compareGroups)
	reach := uint64(0)
	for _, g := range groups {
		if g.last <= reach {
			old = append(old, g)
		}
		reach = max(reach, g.last)
	}
	return old
}

// Bounds of the parity of a stretch of the log. A stretch with less is made longer when
// the log grows, as long as its parity file is small.
const (
	groupCommits = 128
	groupBytes   = 8 << 20
	groupParity  = 256 << 10
)

// logPercent is the parity of the log: three times that of packs, since it is small, and
// nothing else can bring a commit back.
func logPercent(percent int) int { return min(3*percent, 100) }

// packPercent is the parity of a pack. Trees and lists have as much as the log.
func packPercent(rec *index.PackRecord, percent int) int {
	if rec.Kind == pack.Meta {
		return logPercent(percent)
	}
	return percent
}

func (g *logGroup) open() bool { return g.last-g.first+1 < groupCommits && g.size < groupParity }

// openParity opens a parity file. The error is tier.ErrNotExist, parity.ErrCorrupt or
// parity.ErrVersion, or of the store.
func openParity(ctx context.Context, store tier.Store, name string) (*parity.Set, int64, error) {
	fi, err := store.Stat(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	s, err := parity.Open(fileAt{ctx, store, name}, fi.Size)
	if err != nil {
		return nil, fi.Size, fmt.Errorf("%s: %w", name, err)
	}
	return s, fi.Size, nil
}
