//go:build !linux

package kill

import "context"

// InOwnMounts is for systems with mount namespaces.
func InOwnMounts() (code int, ok bool) { return 0, false }

const noDisk = "the file system of this test is mounted on Linux only"

// Fill is skipped.
func Fill(context.Context, Options) (*Score, error) { return &Score{Skipped: noDisk}, nil }

// Power is skipped.
func Power(context.Context, Options) (*Score, error) { return &Score{Skipped: noDisk}, nil }
