// Package tiertest helps to test stores and what is built on them: [Run] is the
// contract that every store must pass, [Faulty] fails chosen calls, [Counting]
// counts them, and [Crash] loses its power.
//
// The wrappers compose. To lose power before the k-th call of anything:
//
//	disk := tiertest.NewCrash()
//	nth := tiertest.FailNth(k, tiertest.ErrPower)
//	store := &tiertest.Faulty{Store: disk, Before: func(op tiertest.Op, name string) error {
//		if err := nth(op, name); err != nil {
//			disk.Cut()
//		}
//		return nil // the call itself finds the power gone
//	}}
//
// and after the work has failed, disk.Restart() shows what survived.
package tiertest

import (
	"errors"

	"github.com/firnstore/firn/tier"
)

// Op names a call of a store or of its writers.
type Op string

// The calls. Close is passed through unseen by all wrappers.
const (
	OpCreate Op = "create" // Replace, too
	OpWrite  Op = "write"
	OpCommit Op = "commit"
	OpAbort  Op = "abort"
	OpRead   Op = "read" // ReadAt
	OpStat   Op = "stat"
	OpList   Op = "list" // its name is the prefix
	OpDelete Op = "delete"
	OpSettle Op = "settle" // only of stores that have it
)

// ErrPower is the error of every call while the power of a Crash is off, and of
// every writer from before.
var ErrPower = errors.New("power is off")

var (
	_ tier.Store = (*Faulty)(nil)
	_ tier.Store = (*Counting)(nil)
	_ tier.Store = (*Crash)(nil)

	_ tier.Settler  = (*Faulty)(nil)
	_ tier.Settler  = (*Counting)(nil)
	_ tier.Replacer = (*Faulty)(nil)
	_ tier.Replacer = (*Counting)(nil)
	_ tier.Replacer = (*Crash)(nil)
)
