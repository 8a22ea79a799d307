package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
)

// dumpDay says which dump to make.
type dumpDay struct {
	seed   uint64
	size   int64 // of the first day, nearly, in bytes
	second bool
}

// dumpDiff counts rows: those of the first day, and what the second does to them.
type dumpDiff struct{ rows, updated, deleted, inserted int }

// How the second day differs. Databases change mostly where they are young, and else in
// runs, where a job went through; rows changed one by one and anywhere are the costly
// ones, since each makes a whole chunk new.
const (
	recentShare   = 20    // the last 1 in 20 rows are recent
	recentUpdates = 8     // 1 in 8 of those is updated
	recentDeletes = 100   // 1 in 100 of those is deleted
	runRows       = 500   // rows of a run
	runUpdates    = 150   // 1 run in 150 is gone through
	scatter       = 20000 // 1 row in 20000 is updated, wherever it is
	purged        = 500   // the oldest 1 in 500 rows are deleted
	inserts       = 200   // 1 in 200 rows more at the end
)

// fate is what the second day does to a row.
type fate uint8

const (
	same fate = iota
	updated
	moved // updated, and then at the end of the table, as PostgreSQL often does
	deleted
)

// table is one of the tables of the dump.
type table struct {
	number  uint64
	name    string
	columns string
	share   int // of the bytes of the dump, in percent
	width   int // mean length of a row in bytes, nearly
	row     func(w *rowWriter, id, version int)
}

var tables = []table{
	{1, "customers", "id, uuid, email, name, city, country, created_at, updated_at, balance, active, note", 10, 207, (*rowWriter).customer},
	{2, "orders", "id, customer_id, ordered_at, updated_at, status, total, currency, tracking, items", 30, 166, (*rowWriter).order},
	{3, "events", "id, at, customer_id, kind, address, agent, path, session, duration_ms, payload", 60, 239, (*rowWriter).event},
}

// rows returns how many rows the table has on the first day.
func (t *table) rows(d dumpDay) int {
	return max(1, int(d.size/100*int64(t.share)/int64(t.width)))
}

// fate returns what becomes of row id, in [0, rows).
func (t *table) fate(seed uint64, id, rows int) fate {
	r := newRNG(seed, t.number, uint64(id), 2)
	run := newRNG(seed, t.number, uint64(id/runRows), 3)
	change := r.below(scatter) == 0 || run.below(runUpdates) == 0 && r.below(3) > 0
	if id >= rows-rows/recentShare {
		if r.below(recentDeletes) == 0 {
			return deleted
		}
		change = change || r.below(recentUpdates) == 0
	}
	switch {
	case id < rows/purged:
		return deleted
	case change && r.below(2) == 0:
		return moved
	case change:
		return updated
	}
	return same
}

// writeDump writes a dump and returns its length. The diff is that of the second day.
func writeDump(ctx context.Context, path string, d dumpDay) (int64, dumpDiff, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, dumpDiff{}, err
	}
	defer f.Close()
	w := &rowWriter{out: bufio.NewWriterSize(f, 1<<20), seed: d.seed}
	var diff dumpDiff
	w.text("--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n")
	for i := range tables {
		if err := w.table(ctx, &tables[i], d, &diff); err != nil {
			return 0, dumpDiff{}, err
		}
	}
	w.text("--\n-- PostgreSQL database dump complete\n--\n")
	if w.err != nil {
		return 0, dumpDiff{}, w.err
	}
	if err := w.out.Flush(); err != nil {
		return 0, dumpDiff{}, err
	}
	return w.written, diff, f.Close()
}

// table writes one table as it is on the day.
func (w *rowWriter) table(ctx context.Context, t *table, d dumpDay, diff *dumpDiff) error {
	rows := t.rows(d)
	diff.rows += rows
	w.text(fmt.Sprintf("\nCOPY public.%s (%s) FROM stdin;\n", t.name, t.columns))
	for id := range rows {
		if id%(1<<12) == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		f := same
		if d.second {
			f = t.fate(d.seed, id, rows)
		}
		switch f {
		case same:
			w.row(t, id, 0)
		case updated:
			diff.updated++
			w.row(t, id, 1)
		case moved:
			diff.updated++
		case deleted:
			diff.deleted++
		}
	}
	if d.second {
		w.end(t, d, rows, diff)
	}
	w.text("\\.\n")
	return w.err
}

// end writes the rows that stand at the end of a table on the second day.
func (w *rowWriter) end(t *table, d dumpDay, rows int, diff *dumpDiff) {
	for id := range rows {
		if t.fate(d.seed, id, rows) == moved {
			w.row(t, id, 1)
		}
	}
	for id := rows; id < rows+rows/inserts; id++ {
		diff.inserted++
		w.row(t, id, 0)
	}
}
