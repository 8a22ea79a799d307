//go:build !(linux || darwin || freebsd)

package main

import "errors"

// diskSpace cannot tell here.
func diskSpace(string) (total, free int64, err error) { return 0, 0, errors.ErrUnsupported }
