package s3

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unrouted are the operations of the API reference that have no row in the table: their
// requests are those of another operation, or of no operation here.
var unrouted = []string{"ListDirectoryBuckets", "UpdateObjectEncryption", "WriteGetObjectResponse"}

// described is a row of section "Operations" of docs/s3.md.
type described struct {
	names              []string
	state, note, tests string
}

func describedOperations(t *testing.T) (rows []described) {
	t.Helper()
	page, err := os.ReadFile("../../docs/s3.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## 10. Operations\n")
	section, _, ended := strings.Cut(section, "\n## ")
	if !found || !ended {
		t.Fatal("docs/s3.md has no section 10 between others")
	}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		if len(cells) != 4 || !strings.HasPrefix(cells[0], " `") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		names := strings.Split(strings.ReplaceAll(cells[0], "`", ""), ", ")
		rows = append(rows, described{names, cells[1], cells[2], cells[3]})
	}
	return rows
}

// TestPageHasEveryOperation holds the tables of docs/s3.md to the table of operations.
func TestPageHasEveryOperation(t *testing.T) {
	page := map[string]int{}
	for _, row := range describedOperations(t) {
		for _, name := range row.names {
			page[name]++
		}
	}
	known := slices.Clone(unrouted)
	for i := range operations {
		known = append(known, operations[i].name)
	}
	for _, name := range known {
		if page[name] != 1 {
			t.Errorf("docs/s3.md has %s %d times", name, page[name])
		}
		delete(page, name)
	}
	for name := range page {
		t.Errorf("docs/s3.md has %s, and the table of operations does not", name)
	}
}

var answered = regexp.MustCompile("([0-9]{3}) `([A-Za-z]+)`")

// TestPageNamesWhatThereIs looks for the codes and tests that docs/s3.md names.
func TestPageNamesWhatThereIs(t *testing.T) {
	tests := testNames(t)
	for _, row := range describedOperations(t) {
		named := answered.FindAllStringSubmatch(row.note, -1)
		for _, n := range named {
			if c, ok := codes[n[2]]; !ok || strconv.Itoa(c.status) != n[1] {
				t.Errorf("%s: %s has status %d", row.names, n[2], c.status)
			}
		}
		switch row.state {
		case "full", "stored":
		case "refused":
			if len(named) == 0 {
				t.Errorf("%s: refused with which status and code?", row.names)
			}
		default:
			t.Errorf("%s: state %q", row.names, row.state)
		}
		for _, name := range strings.Split(row.tests, ", ") {
			if !tests[name] {
				t.Errorf("%s: there is no test %q", row.names, name)
			}
		}
	}
}

// TestPageHasTheLimits holds the numbers of section "Sizes and counts" to the constants.
func TestPageHasTheLimits(t *testing.T) {
	page, err := os.ReadFile("../../docs/s3.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## 12. Sizes and counts\n")
	section, _, _ = strings.Cut(section, "\n## ")
	const kib, mib, gib, tib = 1 << 10, 1 << 20, 1 << 30, 1 << 40
	for row, numbers := range map[string][]string{
		"object":                         {itoa(maxObject/tib) + " TiB"},
		"put, part or copy at once":      {itoa(maxPut/gib) + " GiB"},
		"parts":                          {grouped(maxParts), itoa(minPart/mib) + " MiB"},
		"key":                            {grouped(maxKey)},
		"user metadata":                  {itoa(maxUserMeta/kib) + " KiB"},
		"tags":                           {itoa(maxObjectTags) + " of an object", itoa(maxBucketTags) + " of a bucket", itoa(maxTagKey), itoa(maxTagValue)},
		"entries of a page":              {grouped(maxListed), grouped(maxBuckets)},
		"keys in a `DeleteObjects`":      {grouped(maxDeletes), itoa(maxDeleteBody/mib) + " MiB"},
		"list of parts in a completion":  {itoa(maxCompletion/mib) + " MiB"},
		"XML of a configuration":         {itoa(maxConfig/kib) + " KiB", itoa(maxBigConfig/mib) + " MiB", grouped(maxElements)},
		"configurations of a bucket":     {itoa(maxConfigs/mib) + " MiB"},
		"CORS, lifecycle, routing rules": {itoa(maxCORSRules), grouped(maxLifecycleRules), itoa(maxRoutingRules)},
		"fields of a form":               {itoa(maxFormFields/kib) + " KiB"},
		"names of KMS keys":              {grouped(maxKMSName), itoa(maxKMSKeys)},
	} {
		_, rest, found := strings.Cut(section, "\n| "+row+" | ")
		limit, _, _ := strings.Cut(rest, " | ")
		for _, n := range numbers {
			if !found || !strings.Contains(limit, n) {
				t.Errorf("docs/s3.md says of %s: %q, and not %s", row, limit, n)
			}
		}
	}
}

// grouped writes a number below a million with a comma, as pages for people do.
func grouped(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return strconv.Itoa(n/1000) + "," + strconv.Itoa(1000 + n%1000)[1:]
}

// TestFormatHasEveryName looks for the names of system metadata and of configurations in
// the section of docs/format.md that is about them.
func TestFormatHasEveryName(t *testing.T) {
	page, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## 18. ")
	if !found {
		t.Fatal("docs/format.md has no section 18")
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	declared, n := regexp.MustCompile(`(?m)^\t(?:meta|conf)[A-Z]\w* += "([^"]+)"`), 0
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declared.FindAllStringSubmatch(string(src), -1) {
			if n++; m[1] != metaSum && !strings.Contains(section, "`"+m[1]+"`") {
				t.Errorf("%s: docs/format.md does not have %q", file, m[1])
			}
		}
	}
	for i := range listedChecksums {
		if name := listedChecksums[i].meta; !strings.Contains(section, "`"+name+"`") {
			t.Errorf("docs/format.md does not have %q", name)
		}
	}
	if n < 30 {
		t.Errorf("only %d names were looked for", n)
	}
}

// testNames are those of the tests of this package.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	names := map[string]bool{}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declared.FindAllSubmatch(src, -1) {
			names[string(m[1])] = true
		}
	}
	return names
}
