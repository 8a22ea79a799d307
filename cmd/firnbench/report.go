package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// report is all that a run found out. Its JSON form has every single figure.
type report struct {
	Made    time.Time  `json:"made"`
	Quick   bool       `json:"quick"`
	Seed    uint64     `json:"seed"`
	Host    host       `json:"host"`
	Tools   []toolInfo `json:"tools"`
	Missing []string   `json:"missing,omitempty"` // tools that are not installed
	Corpora []*corpus  `json:"corpora"`
	Floor   int64      `json:"peak_floor_bytes"` // of a command that does nothing
	Results []result   `json:"results"`
}

// toolInfo says which program a tool was.
type toolInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// row is a line of a table: for each tool the values of the rounds.
type row struct {
	label  string
	values func(tool string) []float64
}

// write prints the report, and writes it to the files whose names are not empty.
func (r *report) write(stdout io.Writer, markdown, jsonFile string) error {
	text := r.markdown()
	if _, err := io.WriteString(stdout, text); err != nil {
		return err
	}
	if markdown != "" {
		if err := os.WriteFile(markdown, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if jsonFile == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(jsonFile, append(data, '\n'), 0o644)
}

// markdown returns the report as a page.
func (r *report) markdown() string {
	var b strings.Builder
	r.head(&b)
	for _, c := range r.Corpora {
		fmt.Fprintf(&b, "\n## The %s\n\n%s.\n", c.Name, c.size())
		r.table(&b, "Wall time in seconds", true, r.wallRows(c))
		r.table(&b, "CPU time in seconds, user and system", false, r.stepRows(c, func(res result) float64 { return res.CPU }))
		r.table(&b, "Peak memory in MiB", false, r.stepRows(c, func(res result) float64 { return float64(res.Peak) / (1 << 20) }))
		r.table(&b, "On disk in MB", false, r.sizeRows(c))
	}
	r.limitTables(&b)
	r.caveats(&b)
	return b.String()
}

// head says what was measured, with what, where and how.
func (r *report) head(b *strings.Builder) {
	command := "make bench"
	if r.Quick {
		command = "make bench-quick"
	}
	fmt.Fprintf(b, "# Benchmarks\n\n`%s` makes this page; edits by hand will be lost.\n", command)
	if r.Quick {
		b.WriteString("The corpora of this run are small and its figures rough.\n")
	}
	fmt.Fprintf(b, "\n- **Date**: %s\n- **Machine**: %s\n", r.Made.Format("2 January 2006, 15:04 UTC"), r.Host)
	fmt.Fprintf(b, "- **Load** of the machine in the minute before: %s\n", r.Host.Load)
	for _, c := range r.Corpora {
		fmt.Fprintf(b, "- **Rounds** of the %s: %d; each figure is their median\n", c.Name, c.Rounds)
	}
	fmt.Fprintf(b, "- **Seed**: %d\n- **Tools**:\n", r.Seed)
	for _, t := range r.Tools {
		fmt.Fprintf(b, "  - %s: %s\n", t.Name, t.Version)
	}
	for _, name := range r.Missing {
		fmt.Fprintf(b, "  - %s: not installed\n", name)
	}
	b.WriteString(method)
}

// method says how the tables come about; it holds for every run.
const method = `
Every tool runs with encryption and its default compression: restic on a repository of version 2, borg with
` + "`repokey-blake2`" + ` and lz4. In every round each tool gets a new repository, and all of them do one step before any does the next;
the order rotates. The page cache is warm, the disks are synced before each step. A step is one process from start to end,
with its children. A restore goes to an empty directory, and its time counts only if contents, links, permissions and the times of
files equal the source.

**Better by** is the better of restic and borg divided by firn: 2.00 means that firn takes half of what the better of the two
takes, and below 1.00 firn is worse. A dash is a step that failed, or a ratio that says nothing.
`

// size describes a corpus.
func (c *corpus) size() string {
	return fmt.Sprintf("%d file%s, %.0f MB: %s; %.0f MB then", c.Files, plural(c.Files), float64(c.Bytes)/1e6, c.About, float64(c.Next)/1e6)
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// values returns a figure of every round in which a command did not fail.
func (r *report) values(corpus, tool, step string, figure func(result) float64) []float64 {
	var values []float64
	for _, res := range r.Results {
		if res.Corpus == corpus && res.Tool == tool && res.Step == step && res.Err == "" {
			values = append(values, figure(res))
		}
	}
	return values
}

// stepRows are a figure of all steps.
func (r *report) stepRows(c *corpus, figure func(result) float64) []row {
	var rows []row
	for _, s := range steps {
		rows = append(rows, row{s.name, func(tool string) []float64 { return r.values(c.Name, tool, s.name, figure) }})
	}
	return rows
}

// wallRows are the wall times of all steps. The tools differ in whether a restore waits
// for the disk, so one row more has the sync after it.
func (r *report) wallRows(c *corpus) []row {
	rows := r.stepRows(c, func(res result) float64 { return res.Wall })
	after := slices.IndexFunc(steps, func(s step) bool { return s.restores })
	return slices.Insert(rows, after+1, row{steps[after].name + " and sync", func(tool string) []float64 {
		return r.values(c.Name, tool, steps[after].name, func(res result) float64 { return res.Wall + res.Sync })
	}})
}

// sizeRows are the size of the repository after each backup, what the later backups
// added, and what the tool keeps outside it in the end.
func (r *report) sizeRows(c *corpus) []row {
	var rows []row
	repo := func(step string) func(string) []float64 {
		return func(tool string) []float64 {
			return r.values(c.Name, tool, step, func(res result) float64 { return float64(res.Repo) / 1e6 })
		}
	}
	before := ""
	for _, s := range steps {
		if !s.grows {
			continue
		}
		rows = append(rows, row{"repository after " + s.name, repo(s.name)})
		if earlier := before; earlier != "" {
			rows = append(rows, row{"added by " + s.name, func(tool string) []float64 {
				return minus(repo(s.name)(tool), repo(earlier)(tool))
			}})
		}
		before = s.name
	}
	return append(rows, row{"local index and caches", func(tool string) []float64 {
		return r.values(c.Name, tool, before, func(res result) float64 { return float64(res.Cache) / 1e6 })
	}})
}

// minus subtracts the values of one step from those of a later one, which may have
// failed in some rounds; then there is no telling which, and the result is empty.
func minus(later, earlier []float64) []float64 {
	if len(later) != len(earlier) {
		return nil
	}
	diff := slices.Clone(later)
	for i := range diff {
		diff[i] -= earlier[i]
	}
	return diff
}

// ours returns the name of the tool that is measured against the others, or "".
func (r *report) ours() string {
	for _, t := range r.Tools {
		if kind, err := findKind(t.Name); err == nil && kind.ours {
			return t.Name
		}
	}
	return ""
}

// references returns the medians of those tools of a row that ours is measured against.
func (r *report) references(line row) []float64 {
	var medians []float64
	for _, t := range r.Tools {
		if kind, err := findKind(t.Name); err == nil && kind.reference {
			medians = append(medians, median(line.values(t.Name)))
		}
	}
	return medians
}

// table writes a table with a column for each tool. With spread it shows the least and
// the largest value, too.
func (r *report) table(b *strings.Builder, title string, spread bool, rows []row) {
	header := []string{title}
	for _, t := range r.Tools {
		header = append(header, t.Name)
	}
	if r.ours() != "" {
		header = append(header, "better by")
	}
	writeRow(b, "\n", header)
	writeRow(b, "", append([]string{"---"}, slices.Repeat([]string{"---:"}, len(header)-1)...))
	for _, line := range rows {
		cells := []string{line.label}
		for _, t := range r.Tools {
			cells = append(cells, cell(line.values(t.Name), spread))
		}
		if ours := r.ours(); ours != "" {
			cells = append(cells, figure(ratio(median(line.values(ours)), r.references(line)), 2))
		}
		writeRow(b, "", cells)
	}
}

func writeRow(b *strings.Builder, before string, cells []string) {
	fmt.Fprintf(b, "%s| %s |\n", before, strings.Join(cells, " | "))
}

// cell returns the median of values, with their range if spread says so.
func cell(values []float64, spread bool) string {
	text := figure(median(values), -1)
	if spread && len(values) > 1 {
		text += fmt.Sprintf(" (%s–%s)", figure(slices.Min(values), -1), figure(slices.Max(values), -1))
	}
	return text
}

// figure prints a number with some decimals; -1 means about three digits. A number that
// is not one is a dash.
func figure(v float64, decimals int) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case decimals >= 0:
	case math.Abs(v) < 10:
		decimals = 2
	case math.Abs(v) < 100:
		decimals = 1
	default:
		decimals = 0
	}
	return fmt.Sprintf("%.*f", decimals, v)
}
