package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/firnstore/firn/repo/object"
)

// keyPair is what signs requests.
type keyPair struct{ access, secret string }

// newKeyPair makes a key pair of the lengths that AWS has: 20 characters and 40, the
// latter with 238 bits of randomness.
func newKeyPair() keyPair {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return keyPair{
		access: "FIRN" + randomOf(letters+"234567", 16),
		secret: randomOf(letters+strings.ToLower(letters)+"0123456789", 40),
	}
}

// randomOf draws n characters, each with the same probability.
func randomOf(alphabet string, n int) string {
	limit := 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	buf := make([]byte, 2*n)
	for len(out) < n {
		_, _ = rand.Read(buf) // it never fails
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// rootOfFile returns the key pair in a credentials file, which is made with a new one if
// it is missing; made reports that.
func rootOfFile(name string) (pair keyPair, made bool, err error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		pair = newKeyPair()
		text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", pair.access, pair.secret)
		return pair, true, writeSecret("credentials", name, text)
	}
	if err != nil {
		return keyPair{}, false, usageError("--credentials-file: %w", err)
	}
	if pair, err = parseCredentials(data); err != nil {
		return keyPair{}, false, usageError("credentials file %s: %w", name, err)
	}
	return pair, false, nil
}

// parseCredentials reads the key pair of the profile default from a file as the AWS tools
// have it. Other profiles and settings are passed over. No error repeats a value.
func parseCredentials(data []byte) (pair keyPair, err error) {
	if len(data) > maxSecret {
		return pair, fmt.Errorf("it is longer than %d bytes", maxSecret)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxSecret+1)
	section, found := "", false
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), " \t\r")
		switch {
		case line == "", line[0] == '#', line[0] == ';':
			continue
		case line[0] == ' ', line[0] == '\t': // continues the setting above; none of ours is nested
			continue
		case line[0] == '[':
			end := strings.IndexByte(line, ']')
			if end < 0 {
				return pair, fmt.Errorf("line %d: the name of a profile does not end with ]", n)
			}
			section = strings.TrimSpace(line[1:end])
			found = found || section == "default"
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return pair, fmt.Errorf("line %d: want NAME = VALUE", n)
		}
		if section != "default" {
			continue
		}
		switch value = strings.TrimSpace(value); strings.ToLower(strings.TrimSpace(name)) {
		case "aws_access_key_id":
			pair.access = value
		case "aws_secret_access_key":
			pair.secret = value
		}
	}
	if err := lines.Err(); err != nil {
		return pair, err
	}
	if !found {
		return pair, errors.New("it has no profile [default]")
	}
	if err := checkAccessKey(pair.access); err != nil {
		return pair, fmt.Errorf("[default] aws_access_key_id: %w", err)
	}
	if err := checkSecretKey(pair.secret); err != nil {
		return pair, fmt.Errorf("[default] aws_secret_access_key: %w", err)
	}
	return pair, nil
}

// readableByOthers reports whether more than its owner may read a file. Windows does not
// say so in the mode.
func readableByOthers(name string) bool {
	info, err := os.Stat(name)
	return err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}

// rootUser is the user of a root key pair that is not kept in the repository. It has the
// ID that the user root of the repository has, so that both own the same.
func rootUser(repository string, pair keyPair) object.User {
	return object.User{
		Name: rootName, ID: userID(repository, rootName), Display: rootName, Root: true,
		Keys: []object.AccessKey{{ID: pair.access, Secret: pair.secret}},
	}
}

// ensureRoot makes the user root when the repository has no user who may do everything,
// and returns its key pair then.
func ensureRoot(ctx context.Context, e *object.Engine) (pair keyPair, made bool, err error) {
	users, err := e.Users()
	if err != nil {
		return keyPair{}, false, err
	}
	for _, u := range users {
		if u.Root {
			return keyPair{}, false, nil
		}
	}
	want := rootUser(e.Repository().ID(), newKeyPair())
	err = e.EditUser(ctx, rootName, func(u *object.User) error {
		if made = len(u.Keys) == 0 && !u.Root; !made {
			return nil // another process was faster
		}
		u.ID, u.Display, u.Root, u.Keys = want.ID, want.Display, true, want.Keys
		u.Keys[0].Created = e.Now().UnixNano()
		return nil
	})
	return keyPair{want.Keys[0].ID, want.Keys[0].Secret}, made, err
}

// fileRoot returns the user root of the credentials file, and shows its key pair when it
// was made just now.
func (s *s3Server) fileRoot(repository string, users []object.User) (object.User, error) {
	name := s.f.credentialsFile
	pair, made, err := rootOfFile(name)
	if err != nil {
		return object.User{}, err
	}
	for _, u := range users {
		if u.Keys[0].ID == pair.access {
			return object.User{}, usageError("user %q of %s has the access key of root in %s", u.Name, s.f.usersFile, name)
		}
	}
	switch {
	case made:
		s.a.console.message(fmt.Sprintf("made %s, which keeps the key pair of root", name))
		s.show(pair)
	case readableByOthers(name):
		s.a.console.message(fmt.Sprintf("%s may be read by others than its owner; chmod 600 mends that", name))
	}
	return rootUser(repository, pair), nil
}

// show shows the key pair of root, once. The journal of the system is read by more people
// than may have it; a pair that lies in a file is not repeated there.
func (s *s3Server) show(pair keyPair) {
	if s.f.credentialsFile != "" && inJournal(os.Stderr) {
		return
	}
	s.a.console.message("access key of root: " + pair.access)
	s.a.console.message("secret key of root: " + pair.secret)
	if s.f.credentialsFile == "" {
		s.a.console.message("the secret key is not shown again; firn user key add root makes another pair")
	}
}
