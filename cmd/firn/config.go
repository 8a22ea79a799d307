package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// profile is one [profile.NAME] of the configuration file.
type profile struct {
	Repository        string   `toml:"repository"`
	PassphraseFile    string   `toml:"passphrase-file"`
	PassphraseCommand string   `toml:"passphrase-command"`
	IdentityFile      string   `toml:"identity-file"`
	Host              string   `toml:"host"`
	Tags              []string `toml:"tags"`
	Exclude           []string `toml:"exclude"`
	storage
}

// defaultProfile is taken when nothing else names a repository.
const defaultProfile = "default"

// settings are the profile to use, with flags and environment put over it. What the
// command line says goes before the environment, and that before the profile. The
// configuration file is read only when something in it is needed.
func (a *app) settings() (*profile, error) {
	p := &profile{}
	name := firstOf(a.flags.profile, os.Getenv("FIRN_PROFILE"))
	repository := firstOf(a.flags.repository, os.Getenv("FIRN_REPOSITORY"))
	if name != "" || repository == "" || a.flags.config != "" {
		var err error
		if p, err = a.readProfile(name, repository == ""); err != nil {
			return nil, err
		}
	}
	p.Repository = firstOf(repository, p.Repository)
	p.storage = a.flags.storage.over(p.storage)
	flags := [3]string{a.flags.passphraseFile, a.flags.passphraseCommand, a.flags.identityFile}
	env := [3]string{os.Getenv("FIRN_PASSPHRASE_FILE"), os.Getenv("FIRN_PASSPHRASE_COMMAND"), os.Getenv("FIRN_IDENTITY_FILE")}
	for _, from := range [][3]string{flags, env} {
		if from != [3]string{} {
			p.PassphraseFile, p.PassphraseCommand, p.IdentityFile = from[0], from[1], from[2]
			break
		}
	}
	given := 0
	for _, s := range []string{p.PassphraseFile, p.PassphraseCommand, p.IdentityFile} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		return nil, usageError("the key is to come from one place: a passphrase file, a passphrase command or an identity file")
	}
	return p, nil
}

// readProfile returns the profile called name. With an empty name it is the default
// profile, which may be missing, and only if it is wanted.
func (a *app) readProfile(name string, wantDefault bool) (*profile, error) {
	path, err := configPath(a.flags.config)
	if err != nil {
		return nil, err
	}
	all, err := readConfig(path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && a.flags.config == "" && name == "":
		return &profile{}, nil
	case missing && a.flags.config == "":
		return nil, usageError("profile %q: there is no configuration file %s", name, path)
	case err != nil:
		return nil, err
	case name == "" && !wantDefault:
		return &profile{}, nil
	}
	p, ok := all[firstOf(name, defaultProfile)]
	if !ok && name != "" {
		return nil, usageError("%s has no profile %q", path, name)
	}
	p.locate(filepath.Dir(path))
	return &p, nil
}

// locate makes paths of a profile independent of the working directory: "~/" is the
// home directory, and other relative paths begin where the configuration file is.
func (p *profile) locate(dir string) {
	for _, s := range []*string{&p.Repository, &p.PassphraseFile, &p.IdentityFile, &p.CAFile} {
		switch rest, home := strings.CutPrefix(*s, "~/"); {
		case *s == "" || *s == "-" || filepath.IsAbs(*s) || hasScheme.MatchString(*s):
		case home:
			if h, err := os.UserHomeDir(); err == nil {
				*s = filepath.Join(h, rest)
			}
		default:
			*s = filepath.Join(dir, *s)
		}
	}
}

func configPath(flag string) (string, error) {
	if flag != "" {
		return filepath.Abs(flag)
	}
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return "", usageError("no repository given, and no configuration file found (%v): use -r DIR or set FIRN_REPOSITORY", err)
		}
	}
	return filepath.Join(dir, "firn", "config.toml"), nil
}

// readConfig reads the profiles of a file. Its errors name the file and the line, but
// nothing that could be a value: people write passphrases into the wrong place.
func readConfig(path string) (map[string]profile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &usage{err: fmt.Errorf("read configuration: %w", err)}
	}
	var file struct {
		Profile map[string]profile `toml:"profile"`
	}
	meta, err := toml.Decode(string(text), &file)
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		return nil, usageError("%s, line %d: %s", path, syntax.Position.Line, quoted.ReplaceAllString(syntax.Message, "…"))
	}
	if err != nil {
		return nil, usageError("%s: %s", path, quoted.ReplaceAllString(err.Error(), "…"))
	}
	if keys := meta.Undecoded(); len(keys) > 0 {
		where := ""
		if n := lineOf(string(text), keys[0]); n > 0 {
			where = fmt.Sprintf(", line %d", n)
		}
		return nil, usageError("%s%s: unknown key %q; \"firn help config\" lists them", path, where, keys[0].String())
	}
	return file.Profile, nil
}

var (
	quoted = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	header = regexp.MustCompile(`^\s*\[+\s*([^\]]*?)\s*\]+`)
	setKey = regexp.MustCompile(`^\s*([A-Za-z0-9_."'-]+?)\s*=`)
)

// lineOf finds the line in which a key is set, or 0. The parser keeps no positions.
func lineOf(text string, key toml.Key) int {
	var table []string
	for i, line := range strings.Split(text, "\n") {
		if m := header.FindStringSubmatch(line); m != nil {
			table = splitKey(m[1])
			if slices.Equal(table, key) {
				return i + 1
			}
		} else if m := setKey.FindStringSubmatch(line); m != nil {
			if slices.Equal(append(slices.Clone(table), splitKey(m[1])...), key) {
				return i + 1
			}
		}
	}
	return 0
}

func splitKey(s string) []string {
	parts := strings.Split(s, ".")
	for i := range parts {
		parts[i] = strings.Trim(parts[i], ` "'`)
	}
	return parts
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
