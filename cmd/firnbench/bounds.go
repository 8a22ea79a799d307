package main

import (
	"fmt"
	"strings"
)

// bound compares a step of a tool with a limit, per CPU second.
type bound struct {
	corpus, step, limit string
	aim                 float64
}

// bounds are the comparisons of the report, with what firn aims at.
var bounds = []bound{
	{"tree", stepFirst, "tar | zstd -1 -T0", 0.7},
	{"dump", stepFirst, "zstd -1 -T0", 0.6},
	{"dump", stepRestore, "zstd -d", 0.75},
}

// aimFiles is how many files of an unchanged tree firn aims to pass in a CPU second, in
// thousands.
const aimFiles = 200

// limitTables writes what the machine can do, and the tools in comparison.
func (r *report) limitTables(b *strings.Builder) {
	b.WriteString("\n## The limits of the machine\n\nPlain commands on the same data in the same rounds.\n")
	writeRow(b, "\n", []string{"command", "wall s", "CPU s", "MB/s", "files/s"})
	writeRow(b, "", []string{"---", "---:", "---:", "---:", "---:"})
	for _, l := range limits {
		c := r.corpus(l.corpus)
		if c == nil {
			continue
		}
		wall := median(r.values(l.corpus, "", l.name, func(res result) float64 { return res.Wall }))
		cpu := median(r.cpu(l.corpus, "", l.name))
		writeRow(b, "", []string{fmt.Sprintf("%s: `%s`", l.corpus, strings.ReplaceAll(l.name, "|", `\|`)), figure(wall, -1), figure(cpu, -1),
			figure(float64(c.Bytes)/1e6/wall, 0), filesPerSecond(c, wall)})
	}
	r.boundTable(b)
}

// filesPerSecond is a dash for a corpus of one file, where it says nothing.
func filesPerSecond(c *corpus, seconds float64) string {
	if c.Files == 1 {
		return "–"
	}
	return figure(float64(c.Files)/seconds, 0)
}

// boundTable writes the CPU time of the limits divided by that of the tools.
func (r *report) boundTable(b *strings.Builder) {
	b.WriteString("\nThe CPU time of such a command divided by that of a tool: at 1.00 a tool does all its work in the time of the command.\n")
	header, line := []string{"share of the limit"}, []string{"---"}
	for _, t := range r.Tools {
		header, line = append(header, t.Name), append(line, "---:")
	}
	writeRow(b, "\n", append(header, "aim"))
	writeRow(b, "", append(line, "---:"))
	for _, bd := range bounds {
		if r.corpus(bd.corpus) == nil {
			continue
		}
		cells := []string{fmt.Sprintf("%s, %s / `%s`", bd.corpus, bd.step, strings.ReplaceAll(bd.limit, "|", `\|`))}
		for _, t := range r.Tools {
			share := ratio(median(r.cpu(bd.corpus, t.Name, bd.step)), []float64{median(r.cpu(bd.corpus, "", bd.limit))})
			cells = append(cells, figure(share, 2))
		}
		writeRow(b, "", append(cells, figure(bd.aim, 2)))
	}
	if c := r.corpus("tree"); c != nil {
		whole, work := []string{"tree, unchanged backup: thousand files per CPU second"}, []string{"the same without the CPU time of " + stepList}
		for _, t := range r.Tools {
			seconds, list := median(r.cpu("tree", t.Name, stepUnchanged)), median(r.cpu("tree", t.Name, stepList))
			whole = append(whole, figure(float64(c.Files)/1000/seconds, -1))
			work = append(work, figure(ratio(seconds-list, []float64{float64(c.Files) / 1000}), -1))
		}
		writeRow(b, "", append(whole, "–"))
		writeRow(b, "", append(work, figure(aimFiles, -1)))
	}
}

// cpu returns the CPU time of a step in every round.
func (r *report) cpu(corpus, tool, step string) []float64 {
	return r.values(corpus, tool, step, func(res result) float64 { return res.CPU })
}

// corpus returns a corpus of the run, or nil.
func (r *report) corpus(name string) *corpus {
	for _, c := range r.Corpora {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// caveats writes what a reader should know before believing a figure.
func (r *report) caveats(b *strings.Builder) {
	fmt.Fprintf(b, `
## Caveats

- The times end with the process. All tools sync what they put into the repository. Restored files are another matter: firn
  syncs them before it ends, restic and borg leave that to the kernel. The line `+"`restore and sync`"+` counts a sync after the
  restore for all of them.
- Peak memory is that of the largest process of a command, with shared libraries and mapped files; %.0f MiB is what a
  command that does nothing shows here.
- Every command derives a key from the passphrase, at a cost in time and memory that is meant to be felt; `+"`list backups`"+`
  shows little else. With the small corpora of a quick run it is a good part of everything.
- borg compresses with lz4 by default: less work and larger repositories than zstd. `+"`-tools firn,restic,borg,borg-zstd`"+` adds it with zstd.
- A tool that cuts finer stores less when rows change here and there. How much depends on how the changes lie, and those of
  the dump are an assumption: see its description.
- ext4 makes files slowly for some minutes after many were removed. The benchmark removes none between the steps of the tree,
  but what else the machine removed just before the run, an earlier benchmark for example, shows in restore and in `+"`cp -a`"+`.
- The tree is made of the files of this machine, so another machine has another tree. The dump is the same everywhere.
- Data is read from and written to one file system, and memory holds most of it. Cold disks and remote repositories are not
  measured.
`, float64(r.Floor)/(1<<20))
}
