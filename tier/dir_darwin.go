package tier

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func openAnonymous(*os.File, string) (*os.File, error) { return nil, errors.ErrUnsupported }

func linkAnonymous(*os.File, *os.File, string) error { return errors.ErrUnsupported }

func startWriteback(*os.File, int64, int64) {}

// renameNew renames a file and fails if the new name exists.
func renameNew(from *os.File, oldBase string, to *os.File, newBase string) error {
	return unix.RenameatxNp(int(from.Fd()), oldBase, int(to.Fd()), newBase, unix.RENAME_EXCL)
}
