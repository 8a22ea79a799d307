//go:build !linux && !darwin && !windows

package tier

import (
	"errors"
	"os"
)

func openAnonymous(*os.File, string) (*os.File, error) { return nil, errors.ErrUnsupported }

func linkAnonymous(*os.File, *os.File, string) error { return errors.ErrUnsupported }

func startWriteback(*os.File, int64, int64) {}

func renameNew(*os.File, string, *os.File, string) error { return errors.ErrUnsupported }
