package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzConfigFile: a configuration that cannot be read never shows what may be a passphrase.
func FuzzConfigFile(f *testing.F) {
	f.Add("[profile.default]\nrepository = \"/backup\"\ntags = [\"a\"]\n")
	f.Add("[profile.x]\npassword = \"SECRET\"\n")
	f.Add("repository = SECRET")
	path := filepath.Join(f.TempDir(), "config.toml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		profiles, err := readConfig(path)
		if err == nil {
			return
		}
		if profiles != nil {
			t.Errorf("%v and %v", profiles, err)
		}
		if strings.Contains(text, `"SECRET"`) && strings.Contains(err.Error(), "SECRET") && !strings.Contains(text, "[SECRET") &&
			strings.Count(text, "SECRET") == 1 {
			t.Errorf("the error shows a value: %v", err)
		}
	})
}

// FuzzQuantities: sizes, shares and times that are accepted make sense.
func FuzzQuantities(f *testing.F) {
	for _, s := range []string{"500M", "2GiB", "0.5k", "5%", "100%", "7d", "1d12h", "90m", "1e99", "-1", "NaN%", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil && n < 0 {
			t.Errorf("size %q is %d", s, n)
		}
		if p, err := parsePercent(s); err == nil && !(p > 0 && p <= 100) {
			t.Errorf("share %q is %v", s, p)
		}
		if d, err := parseTime(s); err == nil && d < 0 {
			t.Errorf("time %q is %v", s, d)
		}
	})
}
