package repo

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/blake3"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
	"github.com/firnstore/firn/tier/parity"
)

// packRead is how many bytes of a pack are read at a time.
const packRead = 4 << 20

// errUnreadable: the store failed to read, so that nobody knows what is there.
var errUnreadable = errors.New("it cannot be read")

// statPackFile looks at name and size of a pack. Its errors are those of readPackFile.
func (r *Repository) statPackFile(ctx context.Context, p *index.Pack) error {
	if p.Seq != 0 {
		return nil // in a commit, which was read
	}
	fi, err := r.store.Stat(ctx, p.Record.ID.Name())
	switch {
	case errors.Is(err, tier.ErrNotExist):
		return fmt.Errorf("%w: the file is missing", ErrDamaged)
	case err != nil:
		return fmt.Errorf("%w: %w: %w", ErrDamaged, errUnreadable, err)
	case fi.Size != p.Record.Size:
		return fmt.Errorf("%w: it has %d bytes, its commit says %d", ErrDamaged, fi.Size, p.Record.Size)
	}
	return nil
}

// readPackFile reads a pack whole and compares its digest. ErrDamaged when it is missing
// or not what was written, errUnreadable too when the store failed. buf is scratch.
func (r *Repository) readPackFile(ctx context.Context, p *index.Pack, buf []byte) error {
	if err := r.statPackFile(ctx, p); err != nil {
		return err
	}
	name, base := p.Name()
	h := blake3.New()
	for off := int64(0); off < p.Record.Size; {
		b := buf[:min(int64(len(buf)), p.Record.Size-off)]
		n, err := r.store.ReadAt(ctx, name, b, base+off)
		switch {
		case n == len(b):
		case errors.Is(err, io.EOF), errors.Is(err, tier.ErrNotExist):
			return fmt.Errorf("%w: it ends at %d", ErrDamaged, off+int64(n))
		default:
			return fmt.Errorf("%w: %w: at %d: %w", ErrDamaged, errUnreadable, off, err)
		}
		_, _ = h.Write(b)
		off += int64(n)
	}
	if [32]byte(h.Sum(nil)) != p.Record.Digest {
		return fmt.Errorf("%w: its bytes are not those that were written", ErrDamaged)
	}
	return nil
}

// healPack brings the file of a pack back by its parity. In a dry run it only finds out
// whether it could.
func healPack(ctx context.Context, store tier.Store, p *index.Pack, dryRun bool) error {
	name := p.Record.ID.Name()
	if p.Seq != 0 {
		return errors.New("it lies in a commit, which parity could not heal")
	}
	set, _, err := openParity(ctx, store, parityName(name))
	if errors.Is(err, tier.ErrNotExist) {
		return errors.New("there is no parity to heal it")
	}
	if err != nil {
		return err
	}
	if f := set.Files(); len(f) != 1 || f[0].Digest != p.Record.Digest || f[0].Size != p.Record.Size {
		return fmt.Errorf("%s is of something else", parityName(name))
	}
	h, err := set.Heal([]io.ReaderAt{fileAt{ctx, store, name}})
	if err != nil {
		return err
	}
	if dryRun || h.State(0) == parity.Lost {
		return h.Write(0, io.Discard)
	}
	if err := replaceFile(ctx, store, name, func(w io.Writer) error { return h.Write(0, w) }); err != nil {
		return fmt.Errorf("heal %s: %w", name, err)
	}
	return nil
}

// packGone reports whether a pack was dropped, or one that was cannot come back any more, so
// that its file need not be there.
func (r *Repository) packGone(ctx context.Context, p *index.Pack) (bool, error) {
	if err := r.Refresh(ctx); err != nil {
		return false, err
	}
	_, err := r.index.Pack(p.Num)
	if p.Num == 0 {
		_, err = r.index.Row(tableJob, droppedKey(p.Record.ID))
	}
	if errors.Is(err, index.ErrNotFound) {
		return true, nil
	}
	return false, err
}
