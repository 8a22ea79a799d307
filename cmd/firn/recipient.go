package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"filippo.io/age/plugin"
	"golang.org/x/crypto/ssh"
)

// identityFile reads a file of age identities, one a line, or an ssh private key.
// Either may be locked with a passphrase, which is asked for at the terminal. No error
// repeats what is in the file.
func (a *app) identityFile(ctx context.Context, name string) ([]age.Identity, error) {
	data, err := a.readSmall(name, "--identity-file")
	if err != nil {
		return nil, fmt.Errorf("read identities: %w", err)
	}
	if data, err = unlock(ctx, name, data); err != nil {
		return nil, err
	}
	var ids []age.Identity
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN")) {
		ids, err = sshIdentity(ctx, name, data)
	} else {
		ids, err = a.ageIdentities(data)
	}
	if err != nil {
		return nil, fmt.Errorf("identity file %s: %w", name, err)
	}
	return ids, nil
}

// readSmall reads a file, or standard input for "-".
func (a *app) readSmall(name, flag string) ([]byte, error) {
	var src io.Reader
	if name == "-" {
		in, err := a.takeStdin(flag)
		if err != nil {
			return nil, err
		}
		src = in
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		src = f
	}
	data, err := io.ReadAll(io.LimitReader(src, maxSecret+1))
	if err == nil && len(data) > maxSecret {
		err = fmt.Errorf("%s is longer than %d bytes", name, maxSecret)
	}
	return data, err
}

// unlock decrypts an identity file that is itself an age file with a passphrase.
func unlock(ctx context.Context, name string, data []byte) ([]byte, error) {
	var src io.Reader = bytes.NewReader(data)
	switch {
	case bytes.HasPrefix(data, []byte(armor.Header)):
		src = armor.NewReader(src)
	case !bytes.HasPrefix(data, []byte("age-encryption.org/")):
		return data, nil
	}
	pass, err := askPassphrase(ctx, "passphrase of "+name, false)
	if err != nil {
		return nil, err
	}
	id, err := age.NewScryptIdentity(pass)
	if err != nil {
		return nil, fmt.Errorf("identity file %s: %w", name, err)
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	plain, err := age.Decrypt(src, id)
	if err != nil {
		return nil, fmt.Errorf("identity file %s: %w", name, err)
	}
	return io.ReadAll(io.LimitReader(plain, maxSecret))
}

func sshIdentity(ctx context.Context, name string, pem []byte) ([]age.Identity, error) {
	id, err := agessh.ParseIdentity(pem)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		id, err = lockedSSHIdentity(ctx, name, pem)
	}
	if err != nil {
		return nil, err
	}
	return []age.Identity{id}, nil
}

func lockedSSHIdentity(ctx context.Context, name string, pem []byte) (age.Identity, error) {
	pass, err := askPassphrase(ctx, "passphrase of "+name, false)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParseRawPrivateKeyWithPassphrase(pem, []byte(pass))
	if err != nil {
		return nil, err
	}
	switch k := key.(type) {
	case *ed25519.PrivateKey:
		return agessh.NewEd25519Identity(*k)
	case *rsa.PrivateKey:
		return agessh.NewRSAIdentity(k)
	}
	return nil, fmt.Errorf("ssh keys of this type are not supported: want ed25519 or rsa")
}

// ageIdentities parses lines of X25519, post-quantum and plugin identities.
func (a *app) ageIdentities(data []byte) (ids []age.Identity, err error) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxSecret)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, err := a.parseIdentity(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is not an age identity", n)
		}
		ids = append(ids, id)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, errors.New("it holds no identity")
	}
	return ids, nil
}

func (a *app) parseIdentity(s string) (age.Identity, error) {
	switch {
	case strings.HasPrefix(s, "AGE-PLUGIN-"):
		return plugin.NewIdentity(s, a.pluginUI())
	case strings.HasPrefix(s, "AGE-SECRET-KEY-PQ-1"):
		return age.ParseHybridIdentity(s)
	}
	return age.ParseX25519Identity(s)
}

// parseRecipient parses a public key: age1…, age1pq1…, ssh-ed25519 …, ssh-rsa … or one of
// a plugin. A private key given by mistake is refused without repeating it.
func (a *app) parseRecipient(s string) (r age.Recipient, err error) {
	s = strings.TrimSpace(s)
	switch {
	case strings.HasPrefix(strings.ToUpper(s), "AGE-"):
		return nil, usageError("that is a private key where its recipient belongs; consider it published, and make another")
	case strings.HasPrefix(s, "age1pq1"):
		r, err = age.ParseHybridRecipient(s)
	case strings.HasPrefix(s, "age1") && strings.Count(s, "1") > 1:
		r, err = plugin.NewRecipient(s, a.pluginUI())
	case strings.HasPrefix(s, "age1"):
		r, err = age.ParseX25519Recipient(s)
	case strings.HasPrefix(s, "ssh-"):
		r, err = agessh.ParseRecipient(s)
	default:
		return nil, usageError("%q is not a recipient: want age1…, age1pq1…, ssh-ed25519 … or ssh-rsa …", cut(s, 40))
	}
	if err != nil {
		return nil, &usage{err: fmt.Errorf("recipient %q: %w", cut(s, 40), err)}
	}
	return r, nil
}

// recipientFile reads the one recipient in a file.
func (a *app) recipientFile(name string) (age.Recipient, error) {
	data, err := a.readSmall(name, "--recipient-file")
	if err != nil {
		return nil, fmt.Errorf("read recipient: %w", err)
	}
	var found []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			found = append(found, line)
		}
	}
	if len(found) != 1 {
		return nil, usageError("recipient file %s holds %d recipients: a key slot is for exactly one", name, len(found))
	}
	r, err := a.parseRecipient(found[0])
	if err != nil {
		return nil, usageError("recipient file %s holds no recipient: want age1…, age1pq1…, ssh-ed25519 … or ssh-rsa …", name)
	}
	return r, nil
}

func (a *app) pluginUI() *plugin.ClientUI {
	say := func(format string, v ...any) { a.console.message(fmt.Sprintf(format, v...)) }
	return plugin.NewTerminalUI(say, say)
}
