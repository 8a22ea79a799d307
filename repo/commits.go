package repo

import (
	"context"

	"github.com/firnstore/firn/index"
)

// Commits calls f for the commits behind commit after that are folded, in their order. It
// reads them from the log: what changed since then, it costs.
func (r *Repository) Commits(ctx context.Context, after uint64, f func(*index.Commit) error) error {
	last, _, err := r.index.Applied()
	if err != nil {
		return err
	}
	for seq := after + 1; seq <= last; seq++ {
		c, err := r.readCommit(ctx, seq)
		if err != nil {
			return err
		}
		if err := f(c); err != nil {
			return err
		}
	}
	return nil
}
