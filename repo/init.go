package repo

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/firnstore/firn/chunk"
	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/pack"
	"github.com/firnstore/firn/tier"
)

// InitOptions are the choices that last for the life of a repository.
type InitOptions struct {
	Profile     chunk.Profile // chunk.DefaultProfile()
	PostQuantum bool          // identities of ML-KEM-768 + X25519; stock age before 1.3 cannot read them
	SlotName    string        // "default"
	Parity      int           // percentage of parity beside every file, 1 to 100; 0: none
}

// Init makes a repository in an empty store, with one key slot of role full sealed to
// recipient, and returns its ID. ErrExists when the store holds one, or a part of
// one. Until its last step, the file config, there is no repository; docs/format.md,
// section 12.
func Init(ctx context.Context, store tier.Store, recipient age.Recipient, opt Options, choice InitOptions) (id string, err error) {
	opt.defaults()
	if choice.Profile == (chunk.Profile{}) {
		choice.Profile = chunk.DefaultProfile()
	}
	if choice.SlotName == "" {
		choice.SlotName = "default"
	}
	if !slotName.MatchString(choice.SlotName) {
		return "", fmt.Errorf("key slot name %q: want %s", choice.SlotName, slotName)
	}
	if err := refuseExisting(ctx, store); err != nil {
		return "", err
	}
	s, err := newSlot(opt, choice)
	if err != nil {
		return "", err
	}
	ring := &keyring{slot: *s}
	if err := ring.prepare(); err != nil {
		return "", err
	}
	file, hash, err := genesis(ring, opt, choice.Parity)
	if err != nil {
		return "", err
	}
	s.Repository = hex.EncodeToString(hash[:16])
	if err := sealSlot(ctx, store, s, recipient); err != nil {
		return "", fmt.Errorf("create repository in %s: %w", store, err)
	}
	if err := tier.Put(ctx, store, index.CommitName(1), file); err != nil {
		return "", fmt.Errorf("create repository in %s: %w", store, err)
	}
	if err := tier.Put(ctx, store, configName, formatConfig(s.Repository)); err != nil {
		return "", fmt.Errorf("create repository in %s: %w", store, err)
	}
	if choice.Parity > 0 {
		_, err := protectEntrance(ctx, store, choice.Parity)
		if err == nil {
			_, _, err = protectStretch(ctx, store, stretch{1, 1}, choice.Parity)
		}
		if err != nil {
			opt.Warn(fmt.Sprintf("there is no parity yet, the first backup will add it: %v", err))
		}
	}
	return s.Repository, nil
}

func refuseExisting(ctx context.Context, store tier.Store) error {
	if _, err := store.Stat(ctx, configName); err == nil {
		return fmt.Errorf("a repository in %s %w", store, ErrExists)
	} else if !errors.Is(err, tier.ErrNotExist) {
		return fmt.Errorf("look for a repository in %s: %w", store, err)
	}
	for _, prefix := range []string{"keys/", "log/", "packs/"} {
		names, err := listNames(ctx, store, prefix)
		if err != nil {
			return fmt.Errorf("look for a repository in %s: %w", store, err)
		}
		if len(names) > 0 {
			return fmt.Errorf("%s has %s but no config, from an init that was interrupted or a repository that lost it; "+
				"if it holds no backups, empty it and run init again: something %w", store, names[0], ErrExists)
		}
	}
	return nil
}

// newSlot makes the secrets of a repository.
func newSlot(opt Options, choice InitOptions) (*slot, error) {
	s := &slot{
		Format: slotFormat, Version: 1, Role: "full", Name: choice.SlotName,
		Created: opt.Now().UTC(), Profile: profile(choice.Profile),
	}
	if _, err := io.ReadFull(opt.Rand, s.Secret[:]); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	if err := s.newSigner(opt.Rand); err != nil {
		return nil, err
	}
	copy(s.Founder[:], ed25519.NewKeyFromSeed(s.SigningSeed[:]).Public().(ed25519.PublicKey))
	var err error
	if s.DataIdentity, s.DataRecipient, err = newIdentity(choice.PostQuantum); err != nil {
		return nil, err
	}
	s.MetaIdentity, s.MetaRecipient, err = newIdentity(choice.PostQuantum)
	return s, err
}

func (s *slot) newSigner(rand io.Reader) error {
	if _, err := io.ReadFull(rand, s.SigningSeed[:]); err != nil {
		return fmt.Errorf("read randomness: %w", err)
	}
	return nil
}

func newIdentity(postQuantum bool) (identity, recipient string, err error) {
	if postQuantum {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return "", "", fmt.Errorf("generate identity: %w", err)
		}
		return id.String(), id.Recipient().String(), nil
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("generate identity: %w", err)
	}
	return id.String(), id.Recipient().String(), nil
}

// genesis is commit 1: it admits its own writer, and its hash names the repository.
func genesis(ring *keyring, opt Options, percent int) ([]byte, index.Hash, error) {
	c := &index.Commit{Header: index.Header{
		Seq: 1, Time: opt.Now().UnixNano(), Step: index.Begin | index.End,
		Admitted: []index.Certificate{index.NewCertificate(ring.public(), index.Full, ring.signer)},
	}}
	if percent != 0 {
		row, err := parityRow(percent)
		if err != nil {
			return nil, index.Hash{}, err
		}
		c.Body.Rows = []index.Row{row}
	}
	session, err := newSession(opt.Rand)
	if err != nil {
		return nil, index.Hash{}, err
	}
	c.Header.Session = session
	if _, err := io.ReadFull(opt.Rand, c.Header.Nonce[:]); err != nil {
		return nil, index.Hash{}, fmt.Errorf("read randomness: %w", err)
	}
	file, err := c.Seal(ring.signer, ring.metaRcpt)
	return file, c.Hash, err
}

func newSession(rand io.Reader) (s pack.Session, err error) {
	if _, err := io.ReadFull(rand, s[:]); err != nil {
		return s, fmt.Errorf("read randomness: %w", err)
	}
	return s, nil
}
