package repo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
)

const (
	slotFormat = "firn key slot"
	maxSlot    = 64 << 10
)

var slotName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// hex32 is 32 bytes that JSON shows in hexadecimal.
type hex32 [32]byte

func (h hex32) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

func (h *hex32) UnmarshalText(b []byte) error {
	if len(b) != 64 {
		return fmt.Errorf("%d hexadecimal digits, want 64", len(b))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// slot is the plaintext of a key slot; docs/format.md, section 5.
type slot struct {
	Format        string    `json:"format"`
	Version       int       `json:"version"`
	Repository    string    `json:"repository"`
	Role          string    `json:"role"`
	Name          string    `json:"name"`
	Created       time.Time `json:"created"`
	Secret        hex32     `json:"secret"`
	Profile       profile   `json:"profile"`
	Founder       hex32     `json:"founder"`
	SigningSeed   hex32     `json:"signing_seed"`
	DataRecipient string    `json:"data_recipient"`
	MetaRecipient string    `json:"meta_recipient"`
	DataIdentity  string    `json:"data_identity,omitempty"`
	MetaIdentity  string    `json:"meta_identity,omitempty"`
}

type profile struct {
	Name string `json:"name"`
	Bits int    `json:"bits"`
	Min  int    `json:"min"`
	Max  int    `json:"max"`
}

// keyring is a slot made ready for use.
type keyring struct {
	slot
	role             index.Role
	signer           ed25519.PrivateKey
	dataRcpt         age.Recipient
	metaRcpt         age.Recipient
	dataID, metaID   age.Identity // nil when the role has none
	dataKey, metaKey chunk.Key
	cutter           *chunk.Cutter
}

func slotPath(role, name string) string { return "keys/" + role + "/" + name + ".age" }

func parseSlot(plain []byte) (*keyring, error) {
	k := &keyring{}
	dec := json.NewDecoder(bytes.NewReader(plain))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&k.slot); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if k.Format != slotFormat {
		return nil, fmt.Errorf("%w: format is %q", ErrDamaged, k.Format)
	}
	if k.Version != 1 {
		return nil, fmt.Errorf("%w: key slot version %d", ErrVersion, k.Version)
	}
	return k, k.prepare()
}

func (k *keyring) prepare() (err error) {
	bad := func(what string, err error) error { return fmt.Errorf("%w: %s: %v", ErrDamaged, what, err) }
	switch k.Role {
	case "full":
		k.role = index.Full
	case "meta":
		k.role = index.Meta
	case "write":
		k.role = index.Write
	default:
		return bad("role", fmt.Errorf("%q", k.Role))
	}
	k.signer = ed25519.NewKeyFromSeed(k.SigningSeed[:])
	if k.dataRcpt, err = parseRecipient(k.DataRecipient); err != nil {
		return bad("data_recipient", err)
	}
	if k.metaRcpt, err = parseRecipient(k.MetaRecipient); err != nil {
		return bad("meta_recipient", err)
	}
	if k.DataIdentity != "" {
		if k.dataID, err = parseIdentity(k.DataIdentity); err != nil {
			return bad("data_identity", err)
		}
	}
	if k.MetaIdentity != "" {
		if k.metaID, err = parseIdentity(k.MetaIdentity); err != nil {
			return bad("meta_identity", err)
		}
	}
	if (k.dataID != nil) != (k.role == index.Full) || (k.metaID == nil) != (k.role == index.Write) {
		return bad("identities", fmt.Errorf("not those of role %s", k.Role))
	}
	dataKey, pol, err := chunk.Derive(k.Secret[:])
	if err != nil {
		return bad("secret", err)
	}
	k.dataKey = dataKey
	if k.metaKey, err = chunk.DeriveMeta(k.Secret[:]); err != nil {
		return bad("secret", err)
	}
	k.cutter, err = chunk.NewCutter(chunk.Profile(k.Profile), pol)
	if err != nil {
		return bad("profile", err)
	}
	return nil
}

func (k *keyring) public() index.WriterKey {
	return index.WriterKey(k.signer.Public().(ed25519.PublicKey))
}

func parseRecipient(s string) (age.Recipient, error) {
	if strings.HasPrefix(s, "age1pq1") {
		return age.ParseHybridRecipient(s)
	}
	return age.ParseX25519Recipient(s)
}

func parseIdentity(s string) (age.Identity, error) {
	if strings.HasPrefix(s, "AGE-SECRET-KEY-PQ-1") {
		return age.ParseHybridIdentity(s)
	}
	return age.ParseX25519Identity(s)
}

// sealSlot writes a key slot sealed to one recipient, durably.
func sealSlot(ctx context.Context, store tier.Store, s *slot, to age.Recipient) error {
	plain, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, to)
	if err != nil {
		return fmt.Errorf("seal key slot %s: %w", s.Name, err)
	}
	if _, err := w.Write(append(plain, '\n')); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	err = tier.Put(ctx, store, slotPath(s.Role, s.Name), buf.Bytes())
	if errors.Is(err, tier.ErrExist) {
		return fmt.Errorf("key slot %s/%s %w; choose another name, or remove it first", s.Role, s.Name, ErrExists)
	}
	return err
}

// openSlots opens the first slot that one of the identities fits, those of role full
// before the others.
func openSlots(ctx context.Context, store tier.Store, ids []age.Identity) (*keyring, error) {
	names, err := listNames(ctx, store, "keys/")
	if err != nil {
		return nil, fmt.Errorf("list key slots: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: there are no key slots in keys/", ErrDamaged)
	}
	var damaged error
	for _, name := range rolesFirst(names) {
		sealed, err := tier.Read(ctx, store, name, maxSlot)
		if err != nil {
			return nil, fmt.Errorf("read key slot: %w", err)
		}
		if _, err := age.ExtractHeader(bytes.NewReader(sealed)); err != nil {
			damaged = fmt.Errorf("key slot %s: %w: %v", name, ErrDamaged, err)
			continue
		}
		r, err := age.Decrypt(bytes.NewReader(sealed), ids...)
		var mismatch *age.NoIdentityMatchError
		if errors.As(err, &mismatch) {
			continue
		}
		if err != nil { // of the identity, or a header that was tampered with
			damaged = fmt.Errorf("open key slot %s: %w", name, err)
			continue
		}
		plain, err := io.ReadAll(io.LimitReader(r, maxSlot+1))
		if err != nil {
			damaged = fmt.Errorf("key slot %s: %w: %v", name, ErrDamaged, err)
			continue
		}
		k, err := parseSlot(plain)
		if err != nil {
			return nil, fmt.Errorf("key slot %s: %w", name, err)
		}
		if slotPath(k.Role, k.Name) != name {
			return nil, fmt.Errorf("key slot %s: %w: it was written as %s", name, ErrDamaged, slotPath(k.Role, k.Name))
		}
		return k, nil
	}
	if damaged != nil {
		return nil, damaged
	}
	return nil, ErrWrongKey
}

// rolesFirst sorts slots of role full before the others.
func rolesFirst(names []string) []string {
	var full, rest []string
	for _, n := range names {
		if strings.HasPrefix(n, "keys/full/") {
			full = append(full, n)
		} else {
			rest = append(rest, n)
		}
	}
	return append(full, rest...)
}

func listNames(ctx context.Context, store tier.Store, prefix string) (names []string, err error) {
	err = store.List(ctx, prefix, "", func(fi tier.Info) error {
		names = append(names, fi.Name)
		return nil
	})
	return names, err
}
