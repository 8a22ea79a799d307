package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/parity"
)

// Mended tells of a file of the repository that is not as it should be.
type Mended struct {
	File   string
	Pack   pack.ID // that the file holds; zero: none
	Err    error   // what is wrong with it
	Healed bool    // it is as it should be again, or in a dry run could be
}

// Mend brings back config, key slots and commits that are missing or damaged, as far as
// there is parity. It needs no key, so that it helps where the repository cannot be opened.
// report is told of each file that is not as it should be; of a dry run nothing is changed.
// The error says why it could not go on.
func Mend(ctx context.Context, store tier.Store, dryRun bool, report func(Mended)) error {
	m := &mender{ctx: ctx, store: store, dryRun: dryRun, report: report}
	if err := m.entrance(); err != nil {
		return err
	}
	return m.log()
}

// mender heals files that are read whole.
type mender struct {
	ctx    context.Context
	store  tier.Store
	dryRun bool
	report func(Mended)
	read   int64 // bytes

	// digest of a key slot, if the log knows it; nil: nobody can be asked.
	digest func(name string) (digest [32]byte, known bool)
}

// goodSmall says whether bytes can be, or are known to be, those of config or a key slot.
func (m *mender) goodSmall(name string) (good func([]byte) error, known bool) {
	looks := entranceCheck(name)
	if m.digest == nil {
		return looks, false
	}
	want, known := m.digest(name)
	if !known {
		return looks, false
	}
	return func(b []byte) error {
		if blake3.Sum256(b) != want {
			return fmt.Errorf("%s: %w: its bytes are not those that were written", name, ErrDamaged)
		}
		return nil
	}, true
}

// entrance looks at config and key slots, and at parity without a slot.
func (m *mender) entrance() error {
	names, err := listNames(m.ctx, m.store, "keys/")
	if err != nil {
		return fmt.Errorf("list key slots: %w", err)
	}
	protected, err := listNames(m.ctx, m.store, parityName("keys/"))
	if err != nil {
		return fmt.Errorf("list parity: %w", err)
	}
	for _, p := range protected {
		names = append(names, strings.TrimPrefix(p, parityFolder))
	}
	slices.Sort(names)
	for _, name := range append([]string{configName}, slices.Compact(names)...) {
		if err := m.small(name); err != nil {
			return err
		}
	}
	return nil
}

// small looks at config or a key slot.
func (m *mender) small(name string) error {
	good, known := m.goodSmall(name)
	b, err := tier.Read(m.ctx, m.store, name, maxSlot)
	if m.ctx.Err() != nil {
		return context.Cause(m.ctx)
	}
	m.read += int64(len(b))
	if err == nil {
		err = good(b)
	}
	set, _, serr := openParity(m.ctx, m.store, parityName(name))
	if errors.Is(serr, tier.ErrNotExist) || serr != nil || len(set.Files()) != 1 {
		if err != nil {
			m.tell(name, fmt.Errorf("%w, and there is no parity to heal it", err), false)
		}
		return nil
	}
	if err == nil {
		if known || blake3.Sum256(b) == set.Files()[0].Digest {
			return nil
		}
		if m.unlike(name, set, b) {
			// It was removed and made anew, since it looks like one and has nothing of the
			// other. Scrub makes its parity anew, too.
			return nil
		}
		err = fmt.Errorf("%s: %w: its bytes are not those that were written", name, ErrDamaged)
	}
	healed, herr := m.heal(parityName(name), name, maxSlot, good)
	if herr != nil {
		err = fmt.Errorf("%w; parity does not help: %w", err, herr)
	}
	m.tell(name, err, healed)
	return m.ctx.Err()
}

// unlike reports whether a key slot has nothing in common with the one that has the parity.
// There is only one config.
func (m *mender) unlike(name string, set *parity.Set, b []byte) bool {
	if name == configName {
		return false
	}
	h, err := set.Heal([]io.ReaderAt{bytes.NewReader(b)})
	return err == nil && h.AllDamaged()
}

func (m *mender) tell(file string, err error, healed bool) {
	if m.ctx.Err() == nil {
		m.report(Mended{File: file, Err: err, Healed: healed})
	}
}

// heal brings back one file of a set, if good accepts it.
func (m *mender) heal(parityFile, name string, limit int64, good func([]byte) error) (healed bool, err error) {
	set, _, err := openParity(m.ctx, m.store, parityFile)
	if err != nil {
		return false, err
	}
	at, data := -1, []io.ReaderAt{}
	for i, f := range set.Files() {
		if tier.ValidName(f.Name) != nil {
			return false, fmt.Errorf("%s: %w: it names %q", parityFile, parity.ErrCorrupt, f.Name)
		}
		if f.Name == name && f.Size <= limit {
			at = i
		}
		data = append(data, fileAt{m.ctx, m.store, f.Name})
	}
	if at < 0 {
		return false, fmt.Errorf("%s: %w: it does not cover %s", parityFile, parity.ErrCorrupt, name)
	}
	h, err := set.Heal(data)
	if err != nil {
		return false, err
	}
	var buf bytes.Buffer
	if err := h.Write(at, &buf); err != nil {
		return false, err
	}
	if err := m.ctx.Err(); err != nil {
		return false, err
	}
	if err := good(buf.Bytes()); err != nil {
		return false, fmt.Errorf("what parity gives is wrong: %w", err)
	}
	if m.dryRun {
		return true, nil
	}
	err = replaceFile(m.ctx, m.store, name, func(w io.Writer) error {
		_, err := w.Write(buf.Bytes())
		return err
	})
	return err == nil, err
}

// replaceFile puts a file in the place of a damaged one, or where it is missing.
func replaceFile(ctx context.Context, store tier.Store, name string, write func(io.Writer) error) error {
	w, err := tier.Replace(ctx, store, name)
	if err != nil {
		return err
	}
	if err := write(w); err != nil {
		return errors.Join(err, w.Abort())
	}
	return w.Commit()
}

// log looks at every commit.
func (m *mender) log() error {
	groups, err := logGroups(m.ctx, m.store)
	if err != nil {
		return err
	}
	last := uint64(0)
	for _, g := range groups {
		last = max(last, g.last)
	}
	err = m.store.List(m.ctx, "log/", "", func(fi tier.Info) error {
		if seq, ok := index.ParseCommitName(fi.Name); ok {
			last = max(last, seq)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list log: %w", err)
	}
	return m.commits(groups, stretch{1, last}, func(uint64, []byte) {})
}

// commits looks at a stretch of the log and calls seen with the bytes of each commit that
// is, or becomes, as it should be.
func (m *mender) commits(groups []logGroup, s stretch, seen func(seq uint64, b []byte)) error {
	var prev *index.Commit // the one before, if it is right
	for seq := s.first; seq <= s.last; seq++ {
		b, c, err := m.commit(groups, seq, prev)
		if m.ctx.Err() != nil {
			return context.Cause(m.ctx)
		}
		m.read += int64(len(b))
		if prev = c; err == nil && c != nil {
			seen(seq, b)
		}
	}
	return nil
}

// commit looks at one commit and heals it if it has to. c is nil if it is not right.
func (m *mender) commit(groups []logGroup, seq uint64, prev *index.Commit) (b []byte, c *index.Commit, err error) {
	name := index.CommitName(seq)
	follows := func(b []byte) (err error) {
		if c, err = parseCommitFile(b, seq); err == nil && prev != nil && c.Header.Prev != prev.Hash {
			err = fmt.Errorf("%w: it does not follow the commit before it", index.ErrChain)
		}
		if err != nil {
			c = nil
		}
		return err
	}
	if b, err = tier.Read(m.ctx, m.store, name, maxCommit); err == nil {
		err = follows(b)
	}
	if err == nil || m.ctx.Err() != nil {
		return b, c, err
	}
	wrong := fmt.Errorf("%s: %w: %w", name, ErrDamaged, err)
	err = errors.New("there is no parity to heal it")
	for _, g := range groups {
		if seq < g.first || seq > g.last {
			continue
		}
		var healed bool
		healed, err = m.heal(g.name, name, maxCommit, func(back []byte) error {
			b = bytes.Clone(back)
			if err := follows(b); err != nil {
				return err
			}
			return m.precedes(seq, c)
		})
		if healed {
			m.tell(name, wrong, true)
			return b, c, nil
		}
	}
	m.tell(name, fmt.Errorf("%w; %w", wrong, err), false)
	return nil, nil, wrong
}

// precedes refuses a commit that the next one, if it can be read, does not follow.
func (m *mender) precedes(seq uint64, c *index.Commit) error {
	b, err := tier.Read(m.ctx, m.store, index.CommitName(seq+1), maxCommit)
	if err != nil {
		return nil
	}
	if next, err := parseCommitFile(b, seq+1); err == nil && next.Header.Prev != c.Hash {
		return fmt.Errorf("%w: the next commit does not follow it", index.ErrChain)
	}
	return nil
}
