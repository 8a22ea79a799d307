package repo

import (
	"context"
	"fmt"
	"strings"

	"filippo.io/age"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/tier"
)

// KeyInfo is what can be told of a key slot without opening it.
type KeyInfo struct {
	Role string `json:"role"`
	Name string `json:"name"`
	Type string `json:"type"` // of its age stanza: scrypt, X25519, mlkem768x25519, ssh-ed25519, …
}

// Keys lists the key slots in store.
func Keys(ctx context.Context, store tier.Store) ([]KeyInfo, error) {
	names, err := listNames(ctx, store, "keys/")
	if err != nil {
		return nil, fmt.Errorf("list key slots: %w", err)
	}
	keys := make([]KeyInfo, 0, len(names))
	for _, name := range names {
		role, slot, ok := strings.Cut(strings.TrimPrefix(name, "keys/"), "/")
		slot, suffixed := strings.CutSuffix(slot, ".age")
		if !ok || !suffixed {
			return nil, fmt.Errorf("%s in %s: %w: it is no key slot; remove it", name, store, ErrDamaged)
		}
		sealed, err := tier.Read(ctx, store, name, maxSlot)
		if err != nil {
			return nil, fmt.Errorf("read key slot: %w", err)
		}
		keys = append(keys, KeyInfo{Role: role, Name: slot, Type: stanzaType(sealed)})
	}
	return keys, nil
}

// stanzaType reads the type of the first recipient stanza of an age header.
func stanzaType(sealed []byte) string {
	_, rest, _ := strings.Cut(string(sealed[:min(len(sealed), 4096)]), "\n-> ")
	line, _, ok := strings.Cut(rest, "\n")
	fields := strings.Fields(line)
	if !ok || len(fields) == 0 {
		return "damaged"
	}
	return fields[0]
}

// AddKey makes a key slot sealed to one recipient, with a signing key of its own, and
// admits that key as a writer. First the slot becomes durable, then the commit: a
// crash in between leaves a slot whose commits nobody accepts, which RemoveKey removes.
// Errors: ErrRole unless the slot in use has role full, ErrExists.
func AddKey(ctx context.Context, r *Repository, role index.Role, name string, to age.Recipient) error {
	if r.ring.role != index.Full {
		return fmt.Errorf("add a key with key slot %s of role %s: %w", r.ring.Name, r.ring.Role, ErrRole)
	}
	if !slotName.MatchString(name) {
		return fmt.Errorf("key slot name %q: want lower-case letters, digits, - and _, at most 64", name)
	}
	s := r.ring.slot
	s.Role, s.Name, s.Created = role.String(), name, r.opt.Now().UTC()
	if err := s.newSigner(r.opt.Rand); err != nil {
		return err
	}
	if role != index.Full {
		s.DataIdentity = ""
	}
	if role == index.Write {
		s.MetaIdentity = ""
	}
	ring := &keyring{slot: s}
	if err := ring.prepare(); err != nil {
		return err
	}
	if err := dropParity(ctx, r.store, slotPath(s.Role, s.Name)); err != nil { // of a slot that had the name
		return err
	}
	if err := sealSlot(ctx, r.store, &s, to); err != nil {
		return err
	}
	cert := index.NewCertificate(ring.public(), role, r.ring.signer)
	own := r.ring.public()
	digest, err := slotDigest(ctx, r.store, role.String(), name)
	if err != nil {
		return err
	}
	ownDigest, err := slotDigest(ctx, r.store, r.ring.Role, r.ring.Name)
	if err != nil {
		return err
	}
	return r.once(ctx, Ops{Admitted: []index.Certificate{cert}, Rows: []index.Row{
		{Table: tableSetting, Key: writerRow(role.String(), name), Value: cert.Writer[:]}, digest,
		// The slot that init made has no such rows yet.
		{Table: tableSetting, Key: writerRow(r.ring.Role, r.ring.Name), Value: own[:]}, ownDigest,
	}})
}

// writerRow is the key of the setting that remembers the writer of a key slot, so that
// it can be revoked when the slot is removed.
func writerRow(role, name string) []byte { return []byte("writer/" + role + "/" + name) }

// RemoveKey revokes the writer of a key slot and removes the slot. Whoever opened it
// before keeps what he learned: the identities of a repository do not change. The last
// slot of role full stays (ErrRole).
func (r *Repository) RemoveKey(ctx context.Context, role, name string) error {
	if r.ring.role != index.Full {
		return fmt.Errorf("remove a key with key slot %s of role %s: %w", r.ring.Name, r.ring.Role, ErrRole)
	}
	keys, err := Keys(ctx, r.store)
	if err != nil {
		return err
	}
	full, found := 0, false
	for _, k := range keys {
		if k.Role == "full" {
			full++
		}
		found = found || k.Role == role && k.Name == name
	}
	if !found {
		return fmt.Errorf("key slot %s/%s: %w; firn key list shows what there is", role, name, ErrNotFound)
	}
	if role == "full" && full == 1 {
		return fmt.Errorf("key slot %s/%s is the last that can restore; add another full key first: %w", role, name, ErrRole)
	}
	if role == r.ring.Role && name == r.ring.Name {
		return fmt.Errorf("key slot %s/%s is the one in use and cannot revoke itself; "+
			"open the repository with another full key to remove it: %w", role, name, ErrRole)
	}
	if writer, err := r.index.Row(tableSetting, writerRow(role, name)); err == nil && len(writer) == 32 {
		ops := Ops{Revoked: []index.WriterKey{index.WriterKey(writer)}, Rows: []index.Row{{Table: tableSetting, Key: slotRow(role, name)}}}
		if err := r.once(ctx, ops); err != nil {
			return err
		}
		if err := r.renewCheckpoints(ctx); err != nil {
			return err
		}
	}
	// Parity first, since a slot with parity is brought back; and again, in case that
	// somebody made it meanwhile.
	err = dropParity(ctx, r.store, slotPath(role, name))
	if err == nil {
		err = r.store.Delete(ctx, slotPath(role, name))
	}
	if err == nil {
		err = dropParity(ctx, r.store, slotPath(role, name))
	}
	if err != nil {
		return fmt.Errorf("remove key slot %s/%s: %w", role, name, err)
	}
	return nil
}

// once commits ops in a session of their own.
func (r *Repository) once(ctx context.Context, ops Ops) error {
	s, err := r.Begin(ctx)
	if err != nil {
		return err
	}
	if err := s.End(ctx, ops); err != nil {
		_ = s.Abandon(context.WithoutCancel(ctx))
		return err
	}
	return nil
}
