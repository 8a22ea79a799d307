package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// page reads one for people, below the root of the source.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section returns what stands below a heading of level two, up to the next.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("there is no section %q", heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

var inCode = regexp.MustCompile("(?m)^    .*|`[^`\n]*`")

// TestPagesNameCommandsThatExist looks for every command line of ours in the pages, and
// for their flags.
func TestPagesNameCommandsThatExist(t *testing.T) {
	for _, name := range []string{"README.md", "docs/s3.md", "docs/design.md"} {
		checked := 0
		for _, code := range inCode.FindAllString(page(t, name), -1) {
			code, _, _ = strings.Cut(strings.Trim(code, "` "), " # ")
			code = " " + code
			at := strings.LastIndex(code, " firn ")
			if at < 0 || strings.Trim(code[:at], " ") != "" && !strings.Contains(code[:at], "runuser ") {
				continue
			}
			line, _, _ := strings.Cut(code[at+len(" firn "):], " <")
			checkCommand(t, name, strings.Fields(line))
			checked++
		}
		if name != "docs/design.md" && checked < 10 {
			t.Errorf("%s: only %d command lines were looked at", name, checked)
		}
	}
}

// checkCommand fails the test when a command line has a command or flags that are none.
func checkCommand(t *testing.T, where string, args []string) {
	t.Helper()
	root := newApp().rootCommand()
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(args)
	if err != nil || cmd == root {
		t.Errorf("%s: firn %s: no such command, %v", where, strings.Join(args, " "), err)
		return
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(nil); err != nil { // makes the flags of the commands above known here
		t.Fatal(err)
	}
	for _, word := range rest {
		word, _, _ = strings.Cut(word, "=")
		long, isLong := strings.CutPrefix(word, "--")
		short, isShort := strings.CutPrefix(word, "-")
		switch {
		case isLong && cmd.Flags().Lookup(long) == nil, !isLong && isShort && len(short) == 1 && cmd.Flags().ShorthandLookup(short) == nil:
			t.Errorf("%s: firn %s has no flag %s", where, cmd.Name(), word)
		}
	}
}

// TestPageOfS3NamesFlags looks for the flags that stand alone in docs/s3.md.
func TestPageOfS3NamesFlags(t *testing.T) {
	text := page(t, "docs/s3.md")
	root := newApp().rootCommand()
	known := map[string]bool{}
	for _, path := range [][]string{{"serve", "s3"}, {"user", "add"}, {"prune"}} {
		cmd, _, err := root.Find(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.Fields(cmd.Flags().FlagUsages() + cmd.InheritedFlags().FlagUsages()) {
			known[word] = true
		}
	}
	ours := strings.Replace(text, section(t, text, "17. Clients"), "", 1) // there the flags are theirs
	for _, m := range regexp.MustCompile("`(--[a-z0-9-]+)").FindAllStringSubmatch(ours, -1) {
		if !known[m[1]] {
			t.Errorf("docs/s3.md: no command of it has %s", m[1])
		}
	}
	cmd, _, err := root.Find([]string{"serve", "s3"})
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range regexp.MustCompile(`--[a-z0-9-]+`).FindAllString(cmd.LocalFlags().FlagUsages(), -1) {
		if flag != "--help" && !strings.Contains(text, flag) {
			t.Errorf("docs/s3.md does not have %s", flag)
		}
	}
}

// TestPageOfS3HasLogAndMetrics holds the tables of the access log and of the metrics to
// what is written.
func TestPageOfS3HasLogAndMetrics(t *testing.T) {
	text := page(t, "docs/s3.md")
	log := section(t, text, "6. Access log")
	fields := map[string]bool{}
	for f := range reflect.TypeFor[accessLine]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = true
		if !strings.Contains(log, "`"+name+"`") {
			t.Errorf("the access log has %s, which docs/s3.md does not", name)
		}
	}
	for line := range strings.Lines(log) {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(first, -1) {
			if strings.HasPrefix(line, "| `") && !fields[m[1]] {
				t.Errorf("docs/s3.md has %s, which the access log does not", m[1])
			}
		}
	}

	src := page(t, "cmd/firn/serve_metrics.go") + page(t, "cmd/firn/serve_front.go") + page(t, "cmd/firn/serve_events.go") + page(t, "cmd/firn/serve_lifecycle.go")
	written := map[string]bool{}
	for _, m := range regexp.MustCompile(`"(firn_[a-z0-9_]+)"`).FindAllStringSubmatch(src, -1) {
		written[m[1]] = true
	}
	metrics := section(t, text, "5. Health and metrics")
	for name := range written {
		if !strings.Contains(metrics, "`"+name+"`") {
			t.Errorf("there is a metric %s, which docs/s3.md does not have", name)
		}
	}
	for _, m := range regexp.MustCompile("`(firn_[a-z0-9_]+)`").FindAllStringSubmatch(metrics, -1) {
		if !written[m[1]] {
			t.Errorf("docs/s3.md has the metric %s, which is not written", m[1])
		}
	}
}
