package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		args   []string
		rounds int
		wrong  string
	}{
		{"defaults", nil, 3, ""},
		{"quick", []string{"-quick"}, 1, ""},
		{"quick with rounds", []string{"-quick", "-rounds", "5"}, 5, ""},
		{"negative rounds", []string{"-rounds", "-1"}, 0, "at least 1"},
		{"an argument", []string{"tree"}, 0, `unexpected argument "tree"`},
		{"no such flag", []string{"-fast"}, 0, "fast"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			opts, err := parseOptions(tc.args, io.Discard)
			switch {
			case tc.wrong != "":
				if err == nil || !strings.Contains(err.Error(), tc.wrong) {
					t.Errorf("error is %v, want %q", err, tc.wrong)
				}
			case err != nil:
				t.Error(err)
			case opts.rounds != tc.rounds:
				t.Errorf("%d rounds, want %d", opts.rounds, tc.rounds)
			}
		})
	}
}

func TestChooseTools(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		opts           options
		tools, missing string
		wrong          string
	}{
		{"ours and another binary", options{tools: []string{"firn"}, firn: "/bin/sh", extra: []string{"old=firn:/bin/ls"}}, "firn old", "", ""},
		{"one is not installed", options{tools: []string{"firn"}, firn: "/bin/sh", extra: []string{"new=restic:/nonexistent"}}, "firn", "new", ""},
		{"ours is not built", options{tools: []string{"firn"}, firn: "/nonexistent"}, "", "", "make build"},
		{"unknown", options{tools: []string{"tar"}}, "", "", `unknown tool "tar"`},
		{"twice", options{tools: []string{"firn", "firn"}, firn: "/bin/sh"}, "", "", "named twice"},
		{"unknown kind", options{extra: []string{"a=tar:/bin/tar"}}, "", "", `unknown tool "tar"`},
		{"no kind", options{extra: []string{"a=/bin/tar"}}, "", "", "NAME=KIND:PATH"},
		{"a path as name", options{extra: []string{"../a=firn:/bin/sh"}}, "", "", "NAME=KIND:PATH"},
		{"none", options{extra: []string{"new=restic:/nonexistent"}}, "", "", "no tool to run"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tools, missing, err := chooseTools(&tc.opts)
			if tc.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wrong) {
					t.Errorf("error is %v, want %q", err, tc.wrong)
				}
				return
			}
			var names []string
			for _, tool := range tools {
				names = append(names, tool.name)
			}
			if err != nil || strings.Join(names, " ") != tc.tools || strings.Join(missing, " ") != tc.missing {
				t.Errorf("tools %q, missing %q, error %v, want %q, %q", names, missing, err, tc.tools, tc.missing)
			}
		})
	}
}

func TestEveryPlaceholderIsFilled(t *testing.T) {
	t.Parallel()
	p := place{"b", "r", "p", "c", "s", "t", "a"}
	for _, kind := range kinds {
		for _, templates := range [][]string{kind.env, kind.version, kind.init, kind.backup, kind.list, kind.restore, kind.check} {
			filled := p.fill(templates)
			if len(filled) == 0 || slices.ContainsFunc(filled, func(s string) bool { return strings.Contains(s, "{") }) {
				t.Errorf("%s: %q is filled to %q", kind.name, templates, filled)
			}
		}
	}
	for _, l := range limits {
		if got := p.fill([]string{l.script})[0]; strings.Contains(got, "{") {
			t.Errorf("%s is filled to %q", l.name, got)
		}
	}
}

func TestParseMachine(t *testing.T) {
	t.Parallel()
	text := "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nprocessor\t: 1\nmodel name\t: Other\nMemTotal:       1024 kB\n"
	for _, tc := range []struct {
		name      string
		got, want any
	}{
		{"model", field(text, "model name"), "Some CPU @ 2.00GHz"},
		{"no such field", field(text, "model"), ""},
		{"memory", parseKiB(field(text, "MemTotal")), int64(1 << 20)},
		{"memory without unit", parseKiB("1024"), int64(0)},
		{"memory that is no number", parseKiB("many kB"), int64(0)},
		{"kernel", kernelNumber("6.18.44-custom-v2\n"), "6.18.44"},
		{"kernel without number", kernelNumber("custom"), ""},
	} {
		if tc.got != tc.want {
			t.Errorf("%s is %v, want %v", tc.name, tc.got, tc.want)
		}
	}
}

func TestFigure(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		values []float64
		want   string
	}{
		{nil, "–"},
		{[]float64{1.234}, "1.23"},
		{[]float64{12.34}, "12.3"},
		{[]float64{1234.5}, "1234"},
		{[]float64{-0.5}, "-0.50"},
		{[]float64{3, 1, 2}, "2.00 (1.00–3.00)"},
	} {
		if got := cell(tc.values, true); got != tc.want {
			t.Errorf("cell(%v) = %q, want %q", tc.values, got, tc.want)
		}
	}
}

// testReport has two rounds of three tools, and one failure of borg.
func testReport() *report {
	r := &report{
		Tools:   []toolInfo{{"firn", "firn 1"}, {"restic", "restic 2"}, {"borg", "borg 3"}},
		Missing: []string{"borg-zstd"},
		Corpora: []*corpus{{Name: "tree", Files: 60000, Bytes: 700e6, Next: 701e6, About: "files", Rounds: 2}},
	}
	add := func(tool, step string, wall float64, repo int64, err string) {
		r.Results = append(r.Results, result{Corpus: "tree", Tool: tool, Step: step, Repo: repo, Err: err,
			usage: usage{Wall: wall, CPU: 2 * wall, Peak: 50 << 20}, Sync: 1})
	}
	for _, round := range []float64{0, 1} {
		add("", "tar | zstd -1 -T0", 4, 0, "")
		add("firn", stepFirst, 4+2*round, 100e6, "")
		add("restic", stepFirst, 20, 150e6, "")
		add("borg", stepFirst, 10, 200e6, "")
		add("firn", stepUnchanged, 1, 101e6, "")
		add("restic", stepUnchanged, 1, 152e6, "")
		add("borg", stepUnchanged, 0.1, 201e6, "out of luck")
		add("firn", stepList, 0.5, 101e6, "")
		add("firn", stepRestore, 2, 101e6, "")
		add("restic", stepRestore, 2, 152e6, "")
	}
	return r
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	text := testReport().markdown()
	for _, want := range []string{
		"60000 files, 700 MB: files; 701 MB then.",
		"- **Rounds** of the tree: 2",
		"  - borg-zstd: not installed",
		"| Wall time in seconds | firn | restic | borg | better by |",
		"| first backup | 5.00 (4.00–6.00) | 20.0 (20.0–20.0) | 10.0 (10.0–10.0) | 2.00 |",
		"| unchanged backup | 1.00 (1.00–1.00) | 1.00 (1.00–1.00) | – | 1.00 |",
		"| restore and sync | 3.00 (3.00–3.00) | 3.00 (3.00–3.00) | – | 1.00 |",
		"| check with data | – | – | – | – |",
		"| repository after first backup | 100 | 150 | 200 | 1.50 |",
		"| added by unchanged backup | 1.00 | 2.00 | – | 2.00 |",
		`| tree, first backup / ` + "`tar \\| zstd -1 -T0`" + ` | 0.80 | 0.20 | 0.40 | 0.70 |`,
		"| tree, unchanged backup: thousand files per CPU second | 30.0 | 30.0 | – | – |",
		"| the same without the CPU time of list backups | 60.0 | – | – | 200 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestMarkdownWithoutOurs(t *testing.T) {
	t.Parallel()
	r := testReport()
	r.Tools = r.Tools[1:]
	if text := r.markdown(); strings.Contains(text, "better by |") {
		t.Error("a report without firn has a column that compares with it")
	}
}
