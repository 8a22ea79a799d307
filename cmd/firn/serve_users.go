package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/firnstore/firn/repo/object"
)

// maxUsersFile bounds a file of users in bytes.
const maxUsersFile = 16 << 20

// listedUser is an entry of a file of users.
type listedUser struct {
	Name      string `json:"name"`
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	ID        string `json:"id"`
	Display   string `json:"display_name"`
	Email     string `json:"email"`
}

// readUsersFile reads a file of users for the repository with an ID.
func readUsersFile(name, repository string) ([]object.User, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError("--users-file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxUsersFile+1))
	if err != nil {
		return nil, usageError("--users-file: %w", err)
	}
	if len(data) > maxUsersFile {
		return nil, usageError("--users-file: %s is longer than %d bytes", name, maxUsersFile)
	}
	users, err := parseUsers(data, repository)
	if err != nil {
		return nil, usageError("users file %s: %w", name, err)
	}
	return users, nil
}

// parseUsers parses an array of users. Its errors name the entry, counted from 1, and the
// field, but no secret. An entry without an ID gets one that depends on the repository and
// its name alone, so that what it owns stays its own.
func parseUsers(data []byte, repository string) ([]object.User, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	var entries []json.RawMessage
	if err := dec.Decode(&entries); err != nil {
		return nil, fmt.Errorf("not an array of users in JSON: %w", plainJSONError(err))
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("there is something behind the array")
	}
	users := make([]object.User, 0, len(entries))
	taken := map[string]int{} // field and value → entry
	for i, raw := range entries {
		var l listedUser
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&l); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, plainJSONError(err))
		}
		if l.ID == "" {
			l.ID = userID(repository, l.Name)
		}
		if err := l.check(); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		for _, f := range [][2]string{{"name", l.Name}, {"access_key", l.AccessKey}, {"id", l.ID}, {"email", strings.ToLower(l.Email)}} {
			if other := taken[f[0]+"="+f[1]]; other != 0 && f[1] != "" {
				return nil, fmt.Errorf("entry %d: %s %q is that of entry %d, too", i+1, f[0], f[1], other)
			}
			taken[f[0]+"="+f[1]] = i + 1
		}
		users = append(users, object.User{
			Name: l.Name, ID: l.ID, Display: l.Display, Email: l.Email,
			Keys: []object.AccessKey{{ID: l.AccessKey, Secret: l.SecretKey}},
		})
	}
	return users, nil
}

// plainJSONError takes values out of an error: a secret may stand where a name belongs.
func plainJSONError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("wrong JSON behind byte %d", syntax.Offset)
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Errorf("%s is not a string", kind.Field)
	case errors.As(err, &kind):
		return fmt.Errorf("found %s instead", strings.Fields(kind.Value + " ?")[0])
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON ends too early")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: ")) // unknown field "…"
}

func (l *listedUser) check() error {
	for _, f := range []struct {
		name  string
		value string
		check func(string) error
	}{
		{"name", l.Name, checkListedName},
		{"access_key", l.AccessKey, checkAccessKey},
		{"secret_key", l.SecretKey, checkSecretKey},
		{"id", l.ID, checkUserID},
		{"display_name", l.Display, checkDisplay},
		{"email", l.Email, checkDisplay},
	} {
		if err := f.check(f.value); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// checkListedName is more lenient than checkUserName: other programs wrote the file. But
// a name is part of an ARN.
func checkListedName(s string) error {
	if s == "" {
		return errors.New("is missing")
	}
	if strings.ContainsAny(s, "/:*?") {
		return errors.New("may not hold any of / : * ?")
	}
	if s == rootName {
		return fmt.Errorf("%q is whoever holds the root key pair; choose another", s)
	}
	return checkDisplay(s)
}

// checkUserName is the rule of IAM.
func checkUserName(s string) error { return checkIAMName(s, 64) }

func checkIAMName(s string, longest int) error {
	if s == "" || len(s) > longest || strings.ContainsFunc(s, func(r rune) bool {
		return r > 127 || !isNameRune(r) && !strings.ContainsRune("_+=,.@", r)
	}) {
		return fmt.Errorf("%q: want up to %d of a-z, A-Z, 0-9 and _+=,.@-", s, longest)
	}
	return nil
}

func checkAccessKey(s string) error {
	if len(s) < 3 || len(s) > 128 || strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`/,=:"&%?`, r) // they delimit it in headers and queries
	}) {
		return errors.New(`want 3 to 128 visible ASCII characters, none of / , = : " & % ?`)
	}
	return nil
}

func checkSecretKey(s string) error {
	if len(s) < 8 || len(s) > 128 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("want 8 to 128 visible ASCII characters")
	}
	return nil
}

func checkUserID(s string) error {
	if len(s) < 1 || len(s) > 128 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == ',' }) {
		return errors.New(`want up to 128 visible ASCII characters without " and ,`)
	}
	return nil
}

// checkDisplay allows what can stand in a line of an XML document; nothing, too.
func checkDisplay(s string) error {
	if len(s) > 256 || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return errors.New("want up to 256 bytes of UTF-8 without control characters")
	}
	return nil
}

// rootName is the name of the user who may do everything.
const rootName = "root"

// userID is the canonical ID of a user for whom none was chosen: the same whenever and
// wherever it is derived for a repository.
func userID(repository, name string) string {
	sum := sha256.Sum256([]byte("firn user\x00" + repository + "\x00" + name))
	return hex.EncodeToString(sum[:])
}
