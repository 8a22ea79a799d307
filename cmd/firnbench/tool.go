package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// tool is one row of the table of competitors. Commands and environment are templates
// over the fields of place, for example {repo}.
type tool struct {
	name   string
	kind   string // the row of the table that name comes from
	binary string // a name for $PATH, or a path
	ours   bool   // measured against the reference
	// reference says that ours is measured against the best of these.
	reference bool
	env       []string

	version, init, backup, list, restore, check []string
}

// place is what the templates of a command are filled with. All paths are absolute.
type place struct {
	bin     string
	repo    string
	pass    string // a file with the passphrase
	cache   string // a directory for the index, caches and keys of the tool
	source  string // what is backed up
	target  string // where to restore; the working directory of the command
	archive string // the name of the backup, for tools that ask for one
}

// kinds are the tools, with encryption and, if nothing else is said, their defaults.
var kinds = []tool{
	{
		name: "firn", binary: "bin/firn", ours: true,
		env:     []string{"XDG_CACHE_HOME={cache}"},
		version: []string{"{bin}", "version"},
		init:    []string{"{bin}", "init", "-r", "{repo}", "--passphrase-file", "{pass}"},
		backup:  []string{"{bin}", "backup", "-r", "{repo}", "--passphrase-file", "{pass}", "{source}"},
		list:    []string{"{bin}", "snapshots", "-r", "{repo}", "--passphrase-file", "{pass}"},
		restore: []string{"{bin}", "restore", "-r", "{repo}", "--passphrase-file", "{pass}", "latest", "--target", "{target}"},
		check:   []string{"{bin}", "check", "-r", "{repo}", "--passphrase-file", "{pass}", "--read-data"},
	},
	{
		name: "restic", binary: "restic", reference: true,
		env:     []string{"RESTIC_CACHE_DIR={cache}"},
		version: []string{"{bin}", "version"},
		// Version 2 is the one that compresses.
		init:    []string{"{bin}", "init", "--repository-version", "2", "-r", "{repo}", "-p", "{pass}"},
		backup:  []string{"{bin}", "backup", "-r", "{repo}", "-p", "{pass}", "{source}"},
		list:    []string{"{bin}", "snapshots", "-r", "{repo}", "-p", "{pass}"},
		restore: []string{"{bin}", "restore", "-r", "{repo}", "-p", "{pass}", "latest", "--target", "{target}"},
		check:   []string{"{bin}", "check", "-r", "{repo}", "-p", "{pass}", "--read-data"},
	},
	borg("borg", "lz4"),
	borg("borg-zstd", "zstd,3"),
}

// borg returns the row of borg with one of its compressions.
func borg(name, compression string) tool {
	return tool{
		name: name, binary: "borg", reference: name == "borg",
		env:     []string{"BORG_BASE_DIR={cache}", "BORG_PASSCOMMAND=cat {pass}"},
		version: []string{"{bin}", "--version"},
		init:    []string{"{bin}", "init", "--encryption", "repokey-blake2", "{repo}"},
		backup:  []string{"{bin}", "create", "--compression", compression, "{repo}::{archive}", "{source}"},
		list:    []string{"{bin}", "list", "{repo}"},
		restore: []string{"{bin}", "extract", "{repo}::" + archiveEdited},
		check:   []string{"{bin}", "check", "--verify-data", "{repo}"},
	}
}

// Names of the backups, in their order.
const (
	archiveFirst     = "first"
	archiveUnchanged = "unchanged"
	archiveEdited    = "edited"
)

// Names of the steps that the report looks at by itself.
const (
	stepFirst     = "first backup"
	stepUnchanged = "unchanged backup"
	stepList      = "list backups"
	stepRestore   = "restore"
)

// step is one measured command in the life of a repository.
type step struct {
	name     string
	args     func(*tool) []string
	archive  string
	advance  bool // the corpus goes to its next day before this step
	restores bool // the target is compared with the source afterwards
	grows    bool // the size of the repository is worth a row
}

// steps are what every tool goes through, in order.
var steps = []step{
	{name: "init", args: func(t *tool) []string { return t.init }},
	{name: stepFirst, args: func(t *tool) []string { return t.backup }, archive: archiveFirst, grows: true},
	{name: stepUnchanged, args: func(t *tool) []string { return t.backup }, archive: archiveUnchanged, grows: true},
	{name: "backup after edits", args: func(t *tool) []string { return t.backup }, archive: archiveEdited, advance: true, grows: true},
	{name: stepList, args: func(t *tool) []string { return t.list }},
	{name: stepRestore, args: func(t *tool) []string { return t.restore }, restores: true},
	{name: "check with data", args: func(t *tool) []string { return t.check }},
}

// limit is a plain command on the same data: what the machine can do at best.
type limit struct {
	corpus string
	name   string
	needs  string // skipped without this program
	script string // for sh, a template; {target} is a file or directory to make
}

// limits run once in every round. The second zstd reads what the first one left.
var limits = []limit{
	{"tree", "find -printf", "find", `find "{source}" -printf '%i %s %m %T@ %C@\n' > /dev/null`},
	{"tree", "cp -a", "cp", `cp -a "{source}" "{target}"`},
	{"tree", "tar | zstd -1 -T0", "zstd", `tar -c -f - -C "{source}" . | zstd -q -1 -T0 -c > "{target}.zst"`},
	{"dump", "cat", "cat", `cat "{source}" > /dev/null`},
	{"dump", "zstd -1 -T0", "zstd", `zstd -q -1 -T0 -c "{source}" > "{target}.zst"`},
	{"dump", "zstd -d", "zstd", `zstd -q -d -c "{target}.zst" > "{target}"`},
}

// chooseTools returns the tools that the options name and that are installed, with
// absolute binaries, and the names of those that are not. Ours must be there.
func chooseTools(opts *options) (tools []*tool, missing []string, err error) {
	var wanted []tool
	for _, name := range opts.tools {
		t, err := findKind(name)
		if err != nil {
			return nil, nil, err
		}
		if t.ours {
			t.binary = opts.firn
		}
		wanted = append(wanted, t)
	}
	for _, extra := range opts.extra {
		t, err := parseTool(extra)
		if err != nil {
			return nil, nil, err
		}
		wanted = append(wanted, t)
	}
	for _, t := range wanted {
		if slices.ContainsFunc(tools, func(other *tool) bool { return other.name == t.name }) {
			return nil, nil, fmt.Errorf("tool %s is named twice", t.name)
		}
		path, err := exec.LookPath(t.binary)
		if err != nil && t.ours {
			return nil, nil, fmt.Errorf("%s: %w; \"make build\" makes it, -tools restic,borg goes without it", t.name, err)
		}
		if err != nil {
			missing = append(missing, t.name)
			continue
		}
		if t.binary, err = filepath.Abs(path); err != nil {
			return nil, nil, err
		}
		tools = append(tools, &t)
	}
	if len(tools) == 0 {
		return nil, nil, errors.New("no tool to run")
	}
	return tools, missing, nil
}

// findKind returns a copy of the row of kinds with this name.
func findKind(name string) (tool, error) {
	for _, t := range kinds {
		if t.name == name {
			t.kind = name
			return t, nil
		}
	}
	return tool{}, fmt.Errorf("unknown tool %q", name)
}

// parseTool reads NAME=KIND:PATH. The tool is neither ours nor a reference: it is only
// shown beside them.
func parseTool(s string) (tool, error) {
	name, rest, ok := strings.Cut(s, "=")
	kind, path, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || name == "" || path == "" || strings.ContainsAny(name, "/|") {
		return tool{}, fmt.Errorf("-tool %q: want NAME=KIND:PATH", s)
	}
	t, err := findKind(kind)
	if err != nil {
		return tool{}, fmt.Errorf("-tool %q: %w", s, err)
	}
	t.name, t.binary, t.ours, t.reference = name, path, false, false
	return t, nil
}

// fill replaces the fields of a place in templates.
func (p place) fill(templates []string) []string {
	r := strings.NewReplacer("{bin}", p.bin, "{repo}", p.repo, "{pass}", p.pass, "{cache}", p.cache,
		"{source}", p.source, "{target}", p.target, "{archive}", p.archive)
	out := make([]string, len(templates))
	for i, s := range templates {
		out[i] = r.Replace(s)
	}
	return out
}
