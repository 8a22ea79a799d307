package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"
)

func (a *app) keyGenerateCommand() *cobra.Command {
	var file string
	var postQuantum bool
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Make an age identity",
		Long: `Make an age identity and tell its recipient. The identity is the private key: it goes
to the file of -o, which only its owner may read and which must not exist yet, or to
standard output. The recipient is public: firn init and firn key add take it.`,
		Example: `  firn key generate -o ~/.config/firn/key.txt
  firn key generate --post-quantum -o key.txt`,
		Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error { return a.keyGenerate(file, postQuantum) },
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "`FILE` to write the identity to")
	cmd.Flags().BoolVar(&postQuantum, "post-quantum", false, "an identity that resists quantum computers (ML-KEM-768 with X25519)")
	return exitsOf(cmd, exitExists)
}

func (a *app) keyGenerate(file string, postQuantum bool) error {
	identity, recipient, err := newIdentity(postQuantum)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", time.Now().Format(time.RFC3339), recipient, identity)
	if file != "" {
		if err := writeSecret("identity", file, text); err != nil {
			return err
		}
		identity = ""
	}
	switch {
	case a.flags.json:
		return a.result(struct {
			Recipient string `json:"recipient"`
			File      string `json:"file,omitempty"`
			Identity  string `json:"identity,omitempty"` // when there is no file
		}{recipient, file, identity})
	case file == "":
		a.print("%s", text)
	default:
		a.print("%s\n", recipient)
	}
	return nil
}

func newIdentity(postQuantum bool) (identity, recipient string, err error) {
	if postQuantum {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return "", "", err
		}
		return id.String(), id.Recipient().String(), nil
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", err
	}
	return id.String(), id.Recipient().String(), nil
}

// writeSecret writes a new file that only its owner may read, durably. what is in it is
// for errors.
func writeSecret(what, name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write %s: %s: %w", what, name, errFileExists)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(name)
		return fmt.Errorf("write %s: %s", what, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	// Its name has to last as well. Not every system can sync a directory; there is nothing
	// more to do on those.
	if dir, err := os.Open(filepath.Dir(name)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}
