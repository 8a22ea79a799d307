package object

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/firnstore/firn/index"
)

// User is an account: it owns buckets and versions, and has access keys.
type User struct {
	Name     string            `cbor:"0,keyasint"` // unique
	ID       string            `cbor:"1,keyasint"` // canonical ID: 64 hexadecimal digits, or as given
	Display  string            `cbor:"2,keyasint,omitempty"`
	Email    string            `cbor:"3,keyasint,omitempty"`
	Disabled bool              `cbor:"4,keyasint,omitempty"`
	Root     bool              `cbor:"5,keyasint,omitempty"`
	Keys     []AccessKey       `cbor:"6,keyasint,omitempty"`
	Policies map[string]string `cbor:"7,keyasint,omitempty"` // name → IAM policy, JSON
	Created  int64             `cbor:"8,keyasint,omitempty"` // ns since 1970
}

// AccessKey is a pair to sign requests with. The secret lies as it is in the sealed part
// of the log, since signatures are made of it, and nowhere else.
type AccessKey struct {
	ID       string `cbor:"0,keyasint"`
	Secret   string `cbor:"1,keyasint"`
	Disabled bool   `cbor:"2,keyasint,omitempty"`
	Created  int64  `cbor:"3,keyasint,omitempty"` // ns since 1970
}

// clone returns a copy that may be changed.
func (u *User) clone() *User {
	c := *u
	c.Keys, c.Policies = slices.Clone(u.Keys), maps.Clone(u.Policies)
	if c.Policies == nil {
		c.Policies = map[string]string{}
	}
	return &c
}

// Rows of table user: "n" + name → CBOR of the user; "k" + access key, "i" + canonical ID
// and "e" + e-mail address → name.
const tableUser = "user"

// names returns the keys of the rows that lead to the user.
func (u *User) names() (keys []string) {
	for _, k := range u.Keys {
		keys = append(keys, "k"+k.ID)
	}
	keys = append(keys, "i"+u.ID)
	if u.Email != "" {
		keys = append(keys, "e"+strings.ToLower(u.Email))
	}
	return keys
}

// userSet are users known from elsewhere than the repository.
type userSet struct {
	list []*User
	by   map[string]*User // by name and by what names returns
}

func newUserSet(users []User) (*userSet, error) {
	s := &userSet{by: map[string]*User{}}
	for i := range users {
		u := users[i].clone()
		if u.Name == "" || u.ID == "" {
			return nil, fmt.Errorf("user %d has no name or no ID", i+1)
		}
		s.list = append(s.list, u)
		for _, k := range append(u.names(), "n"+u.Name) {
			if s.by[k] != nil {
				return nil, fmt.Errorf("users %s and %s share the same %s", s.by[k].Name, u.Name, kindOfName[k[0]])
			}
			s.by[k] = u
		}
	}
	return s, nil
}

var kindOfName = map[byte]string{'n': "name", 'k': "access key", 'i': "canonical ID", 'e': "e-mail address"}

// userAt returns the user whom a row key leads to.
func (e *Engine) userAt(key string) (*User, error) {
	if u := e.static.by[key]; u != nil {
		return u, nil
	}
	name := key[1:]
	if key[0] != 'n' {
		row, err := e.r.Index().Row(tableUser, []byte(key))
		if errors.Is(err, index.ErrNotFound) {
			return nil, fmt.Errorf("%s %s: %w", kindOfName[key[0]], name, ErrNoUser)
		}
		if err != nil {
			return nil, err
		}
		name = string(row)
	}
	row, err := e.r.Index().Row(tableUser, []byte("n"+name))
	if errors.Is(err, index.ErrNotFound) {
		return nil, fmt.Errorf("user %s: %w", name, ErrNoUser)
	}
	if err != nil {
		return nil, err
	}
	return e.decodeUser(name, row)
}

func (e *Engine) decodeUser(name string, row []byte) (*User, error) {
	e.cacheMu.Lock()
	defer e.cacheMu.Unlock()
	if c, ok := e.users[name]; ok && c.row == string(row) {
		return c.value, nil
	}
	u := &User{}
	if err := index.Unmarshal(row, u); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	if len(e.users) >= maxCached {
		clear(e.users)
	}
	e.users[name] = cached[User]{string(row), u}
	return u, nil
}

// Users returns all users, those of Options.Users too, in the order of their names. They
// are shared and must not be changed.
func (e *Engine) Users() ([]*User, error) {
	list := slices.Clone(e.static.list)
	err := e.r.Index().Rows(tableUser, []byte("n"), nil, func(k, row []byte) error {
		if e.static.by[string(k)] != nil {
			return nil
		}
		u, err := e.decodeUser(string(k[1:]), bytes.Clone(row))
		list = append(list, u)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b *User) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// UserByKey returns the user with an access key, and that key, disabled or not; or
// ErrNoUser. The users returned are shared and must not be changed.
func (e *Engine) UserByKey(accessKey string) (*User, *AccessKey, error) {
	u, err := e.userAt("k" + accessKey)
	if err != nil {
		return nil, nil, err
	}
	for i := range u.Keys {
		if u.Keys[i].ID == accessKey {
			return u, &u.Keys[i], nil
		}
	}
	return nil, nil, fmt.Errorf("access key %s: %w", accessKey, ErrNoUser)
}

// UserByID returns the user with a canonical ID, or ErrNoUser. It must not be changed.
func (e *Engine) UserByID(id string) (*User, error) { return e.userAt("i" + id) }

// UserByName returns the user of a name, or ErrNoUser. It must not be changed.
func (e *Engine) UserByName(name string) (*User, error) { return e.userAt("n" + name) }

// UserByEmail returns the user with an e-mail address, in whatever case, or ErrNoUser. It
// must not be changed.
func (e *Engine) UserByEmail(email string) (*User, error) {
	return e.userAt("e" + strings.ToLower(email))
}

// ErrUserExists: another user has this access key, canonical ID or e-mail address.
var ErrUserExists = errors.New("another user has it")

// EditUser changes a user, or adds one where there is none of that name: then change gets
// one with nothing but a name, an ID and the time of creation. Only users of the
// repository can be changed. change may be called more than once, and its error leaves
// everything as it was. ErrUserExists.
func (e *Engine) EditUser(ctx context.Context, name string, change func(*User) error) error {
	return e.propose(ctx, &proposal{
		scopes: []scope{{name: "users"}},
		decide: func(d *decision) error {
			old, err := e.userAt("n" + name)
			if err != nil && !errors.Is(err, ErrNoUser) {
				return err
			}
			if e.static.by["n"+name] != nil {
				return fmt.Errorf("user %s is given by a file of the server and changed there", name)
			}
			u := &User{Name: name, ID: newCanonicalID(e.r.Rand()), Created: d.now}
			if old != nil {
				u = old
			}
			u = u.clone()
			if err := change(u); err != nil {
				return err
			}
			u.Name = name
			return e.putUser(d, old, u)
		},
	})
}

// putUser sets the rows of a user in place of those of old.
func (e *Engine) putUser(d *decision, old, u *User) error {
	var before []string
	if old != nil {
		before = old.names()
	}
	now := u.names()
	for _, k := range now {
		other, err := e.userAt(k)
		if err == nil && other.Name != u.Name {
			return fmt.Errorf("%s %s of user %s: %w", kindOfName[k[0]], k[1:], other.Name, ErrUserExists)
		}
		if err != nil && !errors.Is(err, ErrNoUser) {
			return err
		}
		if !slices.Contains(before, k) {
			d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableUser, Key: []byte(k), Value: []byte(u.Name)})
		}
	}
	for _, k := range before {
		if !slices.Contains(now, k) {
			d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableUser, Key: []byte(k)})
		}
	}
	value, err := index.Marshal(u)
	if err != nil {
		return fmt.Errorf("user %s: %w", u.Name, err)
	}
	d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableUser, Key: []byte("n" + u.Name), Value: value})
	return nil
}

// RemoveUser removes a user. What it owns stays and belongs to an ID without a user.
func (e *Engine) RemoveUser(ctx context.Context, name string) error {
	return e.propose(ctx, &proposal{
		scopes: []scope{{name: "users"}},
		decide: func(d *decision) error {
			if e.static.by["n"+name] != nil {
				return fmt.Errorf("user %s is given by a file of the server and removed there", name)
			}
			u, err := e.userAt("n" + name)
			if err != nil {
				return err
			}
			for _, k := range append(u.names(), "n"+name) {
				d.ops.Rows = append(d.ops.Rows, index.Row{Table: tableUser, Key: []byte(k)})
			}
			return nil
		},
	})
}

// newCanonicalID returns 64 hexadecimal digits.
func newCanonicalID(random io.Reader) string {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		_, _ = rand.Read(b[:]) // it never fails
	}
	return hex.EncodeToString(b[:])
}
