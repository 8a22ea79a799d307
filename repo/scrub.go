package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/parity"
)

// ScrubOptions of Repository.Scrub.
type ScrubOptions struct {
	Bytes    int64   // read about so many, those that were not read for longest; 0: no bound
	Share    float64 // or this share of all there is, above 0 and up to 1; 0: no bound
	Report   func(Mended)
	Progress *ScrubProgress
}

// ScrubProgress counts while Scrub works. Its fields may be read at any time.
type ScrubProgress struct{ Bytes, Total atomic.Int64 }

// ScrubResult tells what a scrub did.
type ScrubResult struct {
	Commits   int64   `json:"commits"`    // read
	Packs     PackSum `json:"packs"`      // read
	BytesRead int64   `json:"bytes_read"` // parity, too
	Total     int64   `json:"total"`      // bytes there are
	Healed    int64   `json:"healed"`     // files
	Damaged   int64   `json:"damaged"`    // files that stay so
	Added     int64   `json:"parity_added"`
	Renewed   int64   `json:"parity_renewed"`

	// Everything that was there at Since has been read since then; the zero time when it
	// has not yet.
	Since    time.Time `json:"since,omitzero"`
	Complete bool      `json:"complete"` // this run read the last of it
}

// keyScrub of table job: how far Scrub has come.
var keyScrub = []byte("scrub")

// scrubState is the value of that row.
type scrubState struct {
	After string `cbor:"0,keyasint"`           // name of the file that was read last
	Begun int64  `cbor:"1,keyasint"`           // ns since 1970: when the present round began,
	Since int64  `cbor:"2,keyasint,omitempty"` // and the one before
}

// scrubUnit is what is read together: a stretch of the log, or a pack.
type scrubUnit struct {
	last  string // name of its last file
	size  int64  // bytes, with those of its parity
	log   stretch
	group *logGroup   // that protects it; nil: none
	pack  *index.Pack // nil: log; without a number when it was dropped
}

// planScrub chooses units, which are in the order of their names, from the first behind
// after on, around the end, until their bytes reach the budget; all for 0. It takes at
// least one.
func planScrub(units []scrubUnit, after string, budget int64) []scrubUnit {
	at := slices.IndexFunc(units, func(u scrubUnit) bool { return u.last > after })
	if at > 0 {
		units = slices.Concat(units[at:], units[:at])
	}
	size := int64(0)
	for i := range units {
		if budget > 0 && size >= budget {
			return units[:i]
		}
		size += units[i].size
	}
	return units
}

// scrubCommit is how many bytes are read before it is made durable how far Scrub has come.
const scrubCommit = 64 << 30

// scrubber is one run of Scrub.
type scrubber struct {
	mender
	r       *Repository
	opt     *ScrubOptions
	res     *ScrubResult
	percent int
	groups  []logGroup
	parity  map[string]int64 // sizes of parity files
	buf     []byte
}

// Scrub reads config, key slots, and of the log and the packs what was not read for
// longest. It compares everything with the digests that are known, brings back what
// parity can, and adds parity that is missing or damaged, if the repository has any. How
// far it has come is a row of the log, so that another machine goes on there. What stays
// damaged is reported; the error says why it could not go on.
func (r *Repository) Scrub(ctx context.Context, opt ScrubOptions) (*ScrubResult, error) {
	if r.ring.role == index.Write {
		return nil, fmt.Errorf("scrub with key slot %s of role %s: %w", r.ring.Name, r.ring.Role, ErrRole)
	}
	if opt.Progress == nil {
		opt.Progress = &ScrubProgress{}
	}
	s := &scrubber{r: r, opt: &opt, res: &ScrubResult{}, buf: make([]byte, packRead)}
	s.mender = mender{ctx: ctx, store: r.store, report: s.note, digest: r.slotDigest}
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	var err error
	if s.percent, err = r.Parity(); err != nil {
		return nil, err
	}
	if err := s.entrance(); err != nil {
		return nil, err
	}
	if s.percent > 0 {
		s.protect()
		if err := s.entranceParity(); err != nil {
			return nil, err
		}
	}
	units, err := s.units()
	if err != nil {
		return nil, err
	}
	if err := s.run(units); err != nil {
		return nil, err
	}
	return s.res, nil
}

func (s *scrubber) note(m Mended) {
	if m.Healed {
		s.res.Healed++
	} else {
		s.res.Damaged++
	}
	if s.opt.Report != nil {
		s.opt.Report(m)
	}
}

// protect adds parity of the log, config and key slots. What cannot be protected is
// damaged, and reported where it is read.
func (s *scrubber) protect() {
	count := func(n int64, err error) {
		if n > 0 {
			s.res.Added++
		}
		if err != nil && s.ctx.Err() == nil && !errors.Is(err, index.ErrCorrupt) && !errors.Is(err, ErrDamaged) && !errors.Is(err, tier.ErrNotExist) {
			s.r.opt.Warn(fmt.Sprintf("some files have no parity: %v", err))
		}
	}
	count(s.r.protectLog(s.ctx, s.percent))
	count(protectEntrance(s.ctx, s.store, s.percent))
}

// entranceParity makes the parity of config and key slots anew where it is damaged, or of
// a slot that has been replaced.
func (s *scrubber) entranceParity() error {
	names, err := listNames(s.ctx, s.store, "keys/")
	if err != nil {
		return fmt.Errorf("list key slots: %w", err)
	}
	for _, name := range append(names, configName) {
		good, known := s.goodSmall(name)
		b, err := tier.Read(s.ctx, s.store, name, maxSlot)
		if err != nil || good(b) != nil {
			continue // was reported
		}
		digest := blake3.Sum256(b)
		err = s.verifyParity(parityName(name), func(f parity.File) bool { return f.Name == name && f.Digest == digest }, 1, s.percent)
		if set, _, serr := openParity(s.ctx, s.store, parityName(name)); err == nil || serr == nil && !known &&
			len(set.Files()) == 1 && set.Files()[0].Digest != digest && !s.unlike(name, set, b) {
			continue // it is whole, or the file is not
		}
		err = s.renew(parityName(name), err, func() error {
			e, err := parity.Encode([]parity.Source{{Name: name, Size: int64(len(b)), Data: bytes.NewReader(b)}}, s.percent)
			if err == nil {
				_, err = putParity(s.ctx, s.store, parityName(name), e, true)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// units lists what there is to read, in the order of names.
func (s *scrubber) units() (units []scrubUnit, err error) {
	s.parity = map[string]int64{}
	err = s.store.List(s.ctx, parityFolder, "", func(fi tier.Info) error {
		s.parity[fi.Name] = fi.Size
		if g, ok := parseLogGroup(fi); ok {
			s.groups = append(s.groups, g)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list parity: %w", err)
	}
	slices.SortFunc(s.groups, compareGroups)
	if units, err = s.logUnits(); err != nil {
		return nil, err
	}
	err = s.r.index.Packs(func(p *index.Pack) error {
		if p.Seq == 0 {
			p.Record.AgeHeader = nil
			name := p.Record.ID.Name()
			units = append(units, scrubUnit{last: name, size: p.Record.Size + s.parity[parityName(name)], pack: p})
		}
		return nil
	})
	if err == nil { // those that can come back
		err = s.r.tombstones(func(t *tombstone) error {
			if t.Seq == 0 {
				name := t.Pack.ID.Name()
				units = append(units, scrubUnit{last: name, size: t.Pack.Size + s.parity[parityName(name)], pack: &index.Pack{Record: t.Pack}})
			}
			return nil
		})
	}
	slices.SortFunc(units, func(a, b scrubUnit) int { return strings.Compare(a.last, b.last) })
	return units, err
}

// logUnits cuts the log as its parity does, and where there is none into stretches.
func (s *scrubber) logUnits() (units []scrubUnit, err error) {
	head, _, err := s.r.index.Applied()
	if err != nil {
		return nil, err
	}
	sizes := make([]int64, head+1)
	err = s.store.List(s.ctx, "log/", "", func(fi tier.Info) error {
		if seq, ok := index.ParseCommitName(fi.Name); ok && seq <= head {
			sizes[seq] = fi.Size
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list log: %w", err)
	}
	add := func(st stretch, g *logGroup) {
		u := scrubUnit{last: index.CommitName(st.last), log: st, group: g}
		for seq := st.first; seq <= st.last; seq++ {
			u.size += sizes[seq]
		}
		if g != nil {
			u.size += g.size
		}
		units = append(units, u)
	}
	old := superseded(s.groups)
	for i := range s.groups {
		if g := &s.groups[i]; !slices.Contains(old, *g) && g.last <= head {
			add(g.stretch, g)
		}
	}
	for _, gap := range uncovered(s.groups, head) {
		for ; gap.first <= gap.last; gap.first += groupCommits {
			add(stretch{gap.first, min(gap.first+groupCommits-1, gap.last)}, nil)
		}
	}
	return units, nil
}

// run reads the units that are due.
func (s *scrubber) run(units []scrubUnit) error {
	for i := range units {
		s.res.Total += units[i].size
	}
	start := s.r.opt.Now().UnixNano()
	state, err := s.r.scrubState()
	if err != nil {
		return err
	}
	if state.Begun == 0 {
		state.Begun = start
	}
	budget := s.opt.Bytes
	if share := int64(s.opt.Share * float64(s.res.Total)); s.opt.Share > 0 {
		budget = max(share, 1)
	}
	due := planScrub(units, state.After, budget)
	for i := range due {
		s.opt.Progress.Total.Add(due[i].size)
	}
	done, saved := 0, s.read
	for i := range due {
		if err = s.unit(&due[i]); err != nil {
			break
		}
		done++
		if due[i].last < state.After { // around the end: a new round
			state.Since, state.Begun, s.res.Complete = state.Begun, start, true
		}
		state.After = due[i].last
		s.opt.Progress.Bytes.Add(due[i].size)
		if s.read-saved >= scrubCommit {
			saved = s.read
			if err = s.r.setScrubState(s.ctx, state); err != nil {
				break
			}
		}
	}
	switch {
	case done == len(units): // everything, wherever it began
		state.Since, state.Begun, s.res.Complete = start, start, true
	case done > 0 && state.After == units[len(units)-1].last:
		state.Since, state.Begun, state.After, s.res.Complete = state.Begun, start, "", true
	}
	s.res.BytesRead = s.read
	if state.Since > 0 {
		s.res.Since = time.Unix(0, state.Since).UTC()
	}
	if done > 0 {
		err = errors.Join(err, s.r.setScrubState(context.WithoutCancel(s.ctx), state))
	}
	return err
}

func (r *Repository) scrubState() (state scrubState, err error) {
	v, err := r.index.Row(tableJob, keyScrub)
	if errors.Is(err, index.ErrNotFound) {
		return state, nil
	}
	if err == nil && index.Unmarshal(v, &state) != nil {
		state = scrubState{} // it only says where to begin
	}
	return state, err
}

func (r *Repository) setScrubState(ctx context.Context, state scrubState) error {
	v, err := index.Marshal(&state)
	if err != nil {
		return err
	}
	if err := r.once(ctx, Ops{Rows: []index.Row{{Table: tableJob, Key: keyScrub, Value: v}}}); err != nil {
		return fmt.Errorf("remember how far the scrub has come: %w", err)
	}
	return nil
}

func (s *scrubber) unit(u *scrubUnit) error {
	if err := s.ctx.Err(); err != nil {
		return context.Cause(s.ctx)
	}
	if u.pack != nil {
		return s.pack(u.pack)
	}
	return s.stretch(u)
}

// stretch reads a stretch of the log and its parity.
func (s *scrubber) stretch(u *scrubUnit) error {
	digests := map[string][32]byte{}
	err := s.commits(s.groups, u.log, func(seq uint64, b []byte) {
		s.res.Commits++
		digests[index.CommitName(seq)] = blake3.Sum256(b)
	})
	if err != nil || s.percent == 0 || u.group == nil || uint64(len(digests)) != u.log.last-u.log.first+1 {
		return err
	}
	err = s.verifyParity(u.group.name, func(f parity.File) bool { d, ok := digests[f.Name]; return ok && d == f.Digest }, len(digests), logPercent(s.percent))
	if err == nil || errors.Is(err, parity.ErrVersion) || s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	return s.renew(u.group.name, err, func() error {
		var set []parity.Source
		for seq := u.log.first; seq <= u.log.last; seq++ {
			b, err := readCommitFile(s.ctx, s.store, seq)
			if err != nil {
				return err
			}
			set = append(set, parity.Source{Name: index.CommitName(seq), Size: int64(len(b)), Data: bytes.NewReader(b)})
		}
		e, err := parity.Encode(set, logPercent(s.percent))
		if err == nil {
			_, err = putParity(s.ctx, s.store, u.group.name, e, true)
		}
		return err
	})
}

// verifyParity reads a parity file and returns nil if it is whole, protects these files
// and has as much parity as it should.
func (s *scrubber) verifyParity(name string, covers func(parity.File) bool, files, percent int) error {
	set, size, err := openParity(s.ctx, s.store, name)
	if err != nil {
		return err
	}
	s.read += size
	if len(set.Files()) != files {
		return fmt.Errorf("%s: %w: it protects %d files, not %d", name, parity.ErrCorrupt, len(set.Files()), files)
	}
	for _, f := range set.Files() {
		if !covers(f) {
			return fmt.Errorf("%s: %w: it protects something else", name, parity.ErrCorrupt)
		}
	}
	if !set.HasPercent(percent) {
		return fmt.Errorf("%s: %w", name, errOtherPercent)
	}
	if err := set.Verify(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// errOtherPercent: there is more or less parity than the repository asks for.
var errOtherPercent = errors.New("it has another percentage of parity")

// renew makes a parity file anew. why says what was wrong with it.
func (s *scrubber) renew(name string, why error, again func() error) error {
	err := again()
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	missing, other := errors.Is(why, tier.ErrNotExist), errors.Is(why, errOtherPercent)
	switch {
	case err != nil:
		s.tell(name, fmt.Errorf("%w; it could not be made anew: %w", why, err), false)
	case missing:
		s.res.Added++
	default:
		s.res.Renewed++
	}
	if err == nil && !missing && !other {
		s.tell(name, why, true)
	}
	return nil
}

// pack reads a pack and its parity.
func (s *scrubber) pack(p *index.Pack) error {
	name := p.Record.ID.Name()
	err := s.r.readPackFile(s.ctx, p, s.buf)
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	s.read += p.Record.Size
	s.res.Packs.add(p.Record.Size)
	if err != nil {
		gone, gerr := s.r.packGone(s.ctx, p)
		if gone || gerr != nil {
			return gerr
		}
		herr := healPack(s.ctx, s.store, p, false)
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		if herr != nil {
			err = fmt.Errorf("%w; %w", err, herr)
		}
		m := Mended{File: name, Pack: p.Record.ID, Err: err, Healed: herr == nil}
		if p.Num == 0 {
			m.Pack = pack.ID{} // nothing needs it
		}
		s.note(m)
		if herr != nil {
			return nil
		}
	}
	if s.percent == 0 {
		return nil
	}
	err = s.verifyParity(parityName(name), func(f parity.File) bool {
		return f.Name == name && f.Size == p.Record.Size && f.Digest == p.Record.Digest
	}, 1, packPercent(&p.Record, s.percent))
	if err == nil || errors.Is(err, parity.ErrVersion) || s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	return s.renew(parityName(name), err, func() error {
		_, err := protectPack(s.ctx, s.store, &p.Record, s.percent, true)
		return err
	})
}
