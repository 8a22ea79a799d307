package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/firnstore/firn/cmd/firntorture/damage"
	"github.com/firnstore/firn/cmd/firntorture/kill"
)

// part is a stretch of torture.
type part struct {
	name   string
	weight int // of the time
	run    func(ctx context.Context, opt *options, until time.Time) (*tally, error)
}

var parts = []part{
	{"sim", 30, simulate},
	{"kill", 30, real(kill.Run, "SIGKILLs of firn %s")},
	{"full", 5, real(kill.Fill, "full disks under firn %s")},
	{"power", 8, real(kill.Power, "power failures under firn %s")},
	{"crowd", 7, real(kill.Crowd, "firn %s beside all others")},
	{"damage", 15, damaged},
	{"heal", 5, healed},
}

func partNames() string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return strings.Join(names, ",")
}

// real is a part that deals blows to the real binary; what names one of them.
func real(f func(context.Context, kill.Options) (*kill.Score, error), what string) func(context.Context, *options, time.Time) (*tally, error) {
	return func(ctx context.Context, opt *options, until time.Time) (*tally, error) {
		s, err := f(ctx, kill.Options{Firn: opt.firn, Dir: opt.dir, Seed: opt.seed, Until: until, Log: opt.log})
		if err != nil {
			return nil, err
		}
		t := &tally{Wrong: s.Wrong, Lost: s.Lost, Panics: s.Panics, Hangs: s.Hangs, Failed: s.Failed, Failures: s.Failures, Skipped: s.Skipped}
		for _, name := range slices.Sorted(maps.Keys(s.Blows)) {
			t.count(fmt.Sprintf(what, name), s.Blows[name])
		}
		t.count("commands that had to work", s.Runs)
		t.count("clean checks of the repository", s.Checks)
		t.count("snapshots restored and compared", s.Restores)
		t.count("objects written and acknowledged", s.Writes)
		t.count("objects read and compared", s.Objects)
		return t, nil
	}
}

// damaged is the part that damages a repository.
func damaged(ctx context.Context, opt *options, until time.Time) (*tally, error) {
	s, err := damage.Run(ctx, damage.Options{Firn: opt.firn, Dir: opt.dir, Seed: opt.seed, Until: until, Log: opt.log})
	if err != nil {
		return nil, err
	}
	t := &tally{Wrong: s.Wrong, Panics: s.Panics, Hangs: s.Hangs, Failed: s.Missed + s.Unnamed, Failures: s.Failures}
	for _, kind := range slices.Sorted(maps.Keys(s.Faults)) {
		t.count(kind, s.Faults[kind])
	}
	t.count("bits of all files but packs that were flipped", int64(s.Covered[0]))
	t.count("of so many", int64(s.All[0]))
	t.count("single-fault runs, with and without an index", s.Trials)
	t.count("of them detected", s.Detected)
	for _, why := range slices.Sorted(maps.Keys(s.Hidden)) {
		t.count("hidden: "+why, s.Hidden[why])
	}
	t.count("not detected", s.Missed)
	t.count("detected, but not all that is lost was named", s.Unnamed)
	t.count("restores of damaged repositories", s.Restores)
	t.count("faults put before the real binary, too", s.Binary)
	return t, nil
}

// enoughHealed is the share of damage within the budget of the parity that has to be healed.
const enoughHealed = 0.999

// healed is the part that lets parity heal.
func healed(ctx context.Context, opt *options, until time.Time) (*tally, error) {
	s, err := damage.Heal(ctx, damage.Options{Dir: opt.dir, Seed: opt.seed, Until: until, Log: opt.log})
	if err != nil {
		return nil, err
	}
	t := &tally{Wrong: s.Wrong, Panics: s.Panics, Hangs: s.Hangs, Failures: s.Failures}
	var all, good int64
	for _, kind := range slices.Sorted(maps.Keys(s.Faults)) {
		all, good = all+s.Faults[kind], good+s.Healed[kind]
		t.count(kind, s.Faults[kind])
		t.count("of them healed", s.Healed[kind])
	}
	if float64(good) < enoughHealed*float64(all) {
		t.Failed = all - good
	}
	return t, nil
}
