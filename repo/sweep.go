package repo

import (
	"errors"
	"fmt"
	"strings"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
)

// A file of a pack is removed only when no commit can ever name it again:
//
//   - its pack was dropped, the grace has passed, and the row that would let it come back
//     was removed by a commit before; or
//   - its session was ended or sealed by a commit, so that later ones of it are void, no
//     pack of this name is in the folded state, and there is no such row.
//
// Once true, either stays true. So after a crash the next sweep goes on, and an undelete
// that comes too late finds no row.
type sweeper struct {
	p       *pruner
	files   []tier.Info // of packs that were not in the index
	rows    []index.Row // to be removed
	gone    []tier.Info // files to be removed then
	unknown PackSum
}

// listFiles lists the files of packs that are in no commit, and their parity.
func (p *pruner) listFiles() (files []tier.Info, err error) {
	for _, prefix := range []string{"packs/", parityName("packs/")} {
		err = p.r.store.List(p.ctx, prefix, "", func(fi tier.Info) error {
			id, ok := packFile(strings.TrimPrefix(fi.Name, parityFolder))
			if !ok {
				return nil
			}
			_, err := p.r.index.PackByID(id)
			if errors.Is(err, index.ErrNotFound) {
				files = append(files, fi)
				err = nil
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list packs: %w", err)
		}
	}
	return files, nil
}

// packFile returns the ID of the pack that a file called name holds.
func packFile(name string) (id pack.ID, ok bool) {
	id, err := pack.ParseID(name[max(0, len(name)-32):])
	return id, err == nil && id.Name() == name
}

// sweep removes what can go. The files are listed before the log is followed, so the
// session of each is known by then.
func (p *pruner) sweep() error {
	files, err := p.listFiles()
	if err != nil {
		return err
	}
	sw := sweeper{p: p, files: files}
	err = p.s.Commit(p.ctx, Ops{Prepare: func(ops *Ops) error {
		if err := sw.judge(); err != nil {
			return err
		}
		if ops.Rows = sw.rows; len(ops.Rows) == 0 {
			return errNothing
		}
		return nil
	}})
	if err != nil && !errors.Is(err, errNothing) {
		return fmt.Errorf("remove tombstones: %w", err)
	}
	p.res.Unknown = sw.unknown
	if err := p.settle(); err != nil {
		return err
	}
	for _, fi := range sw.gone {
		err := p.r.store.Delete(p.ctx, fi.Name)
		if errors.Is(err, tier.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("remove %s: %w", fi.Name, err)
		}
		p.removed(fi)
	}
	return nil
}

// settle makes durable what the sweep goes by: the end of a session, for one.
func (p *pruner) settle() error {
	p.r.logMu.Lock()
	defer p.r.logMu.Unlock()
	return p.r.settle(p.ctx)
}

// removed counts a file that was, or would be, removed.
func (p *pruner) removed(fi tier.Info) {
	if strings.HasPrefix(fi.Name, parityFolder) {
		p.res.Parity += fi.Size
	} else {
		p.res.Removed.add(fi.Size)
	}
}

// judge decides by the folded state. r.logMu is held, so that all answers are of one state.
func (sw *sweeper) judge() error {
	sw.rows, sw.gone, sw.unknown = nil, nil, PackSum{}
	stays, err := sw.tombstones()
	if err != nil {
		return err
	}
	x := sw.p.r.index
	for _, fi := range sw.files {
		id, _ := packFile(strings.TrimPrefix(fi.Name, parityFolder))
		if stays[id] {
			continue
		}
		_, err := x.PackByID(id)
		if err == nil {
			continue
		}
		if !errors.Is(err, index.ErrNotFound) {
			return err
		}
		switch state, err := x.SessionState(id.Session()); {
		case errors.Is(err, index.ErrNotFound):
			if !strings.HasPrefix(fi.Name, parityFolder) {
				sw.unknown.add(fi.Size)
			}
		case err != nil:
			return err
		case state != index.SessionOpen || sw.p.s == nil && sw.p.dead[id.Session()]:
			sw.gone = append(sw.gone, fi)
		}
	}
	return nil
}

// tombstones finds the rows that have had their time, and the packs of the others.
func (sw *sweeper) tombstones() (stays map[pack.ID]bool, err error) {
	r, stays := sw.p.r, map[pack.ID]bool{}
	now, grace := r.opt.Now().UnixNano(), int64(sw.p.opt.Grace)
	err = r.tombstones(func(t *tombstone) error {
		if now-t.Time >= grace {
			sw.rows = append(sw.rows, index.Row{Table: tableJob, Key: droppedKey(t.Pack.ID)})
		} else {
			stays[t.Pack.ID] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	settled, err := r.lostSettled(sw.p.marks.missed, stays)
	if err != nil {
		return nil, err
	}
	sw.rows = append(sw.rows, settled...)
	err = r.Forgotten(func(f *Forgotten) error {
		if now-f.Time >= grace {
			sw.rows = append(sw.rows, index.Row{Table: tableJob, Key: forgottenKey(f.Version.ID)})
		}
		return nil
	})
	return stays, err
}

// waiting counts the files that stay until the grace has passed.
func (p *pruner) waiting() error {
	p.res.Waiting = PackSum{}
	now, grace := p.r.opt.Now().UnixNano(), int64(p.opt.Grace)
	return p.r.tombstones(func(t *tombstone) error {
		if t.Seq == 0 && now-t.Time < grace {
			p.res.Waiting.add(t.Pack.Size)
		}
		return nil
	})
}
