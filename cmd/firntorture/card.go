package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
)

// card is the scorecard.
type card struct {
	Command string    `json:"command"`
	Version string    `json:"version"`
	CPUs    int       `json:"cpus"`
	Seeds   [2]uint64 `json:"seeds"` // the first and the last
	Parts   []*tally  `json:"parts"`

	// These must be 0.
	Wrong  int64 `json:"wrong_bytes"`
	Lost   int64 `json:"lost_versions"`
	Panics int64 `json:"panics"`
	Hangs  int64 `json:"hangs"`
	Failed int64 `json:"other_failures"`

	Fine bool `json:"fine"`
}

// tally is what one part did and found.
type tally struct {
	Part    string  `json:"part"`
	Seconds float64 `json:"seconds"`
	Counts  []count `json:"counts"`
	Seeds   uint64  `json:"seeds,omitempty"` // so many, from the first on; 0 is one

	Wrong    int64    `json:"wrong_bytes"`
	Lost     int64    `json:"lost_versions"`
	Panics   int64    `json:"panics"`
	Hangs    int64    `json:"hangs"`
	Failed   int64    `json:"other_failures"`
	Failures []string `json:"failures,omitempty"`
	Replay   string   `json:"replay,omitempty"` // how to see them again
	Skipped  string   `json:"skipped,omitempty"`
}

type count struct {
	What string `json:"what"`
	N    int64  `json:"n"`
}

func (t *tally) count(what string, n int64) { t.Counts = append(t.Counts, count{what, n}) }

func newCard(opt *options) *card {
	c := &card{CPUs: runtime.GOMAXPROCS(0), Seeds: [2]uint64{opt.seed, opt.seed}, Fine: true}
	c.Command = "firntorture " + strings.Join(os.Args[1:], " ")
	if out, err := exec.Command(opt.firn, "version").Output(); err == nil {
		c.Version, _, _ = strings.Cut(string(out), "\n")
	}
	return c
}

func (c *card) add(t *tally) {
	c.Parts = append(c.Parts, t)
	c.Wrong += t.Wrong
	c.Lost += t.Lost
	c.Panics += t.Panics
	c.Hangs += t.Hangs
	c.Failed += t.Failed
	if t.Seeds > 1 {
		c.Seeds[1] = max(c.Seeds[1], c.Seeds[0]+t.Seeds-1)
	}
	c.Fine = c.Fine && t.Wrong+t.Lost+t.Panics+t.Hangs+t.Failed == 0
}

// print writes the card as a table, and what was found below it, or as JSON.
func (c *card) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(c)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n%s, %d CPUs, seeds %d to %d\n\n", c.Command, c.Version, c.CPUs, c.Seeds[0], c.Seeds[1])
	for _, t := range c.Parts {
		head := t.Part
		if t.Skipped != "" {
			fmt.Fprintf(tw, "%s\tskipped: %s\t\n", head, t.Skipped)
			continue
		}
		for _, n := range t.Counts {
			fmt.Fprintf(tw, "%s\t%s\t%d\n", head, n.What, n.N)
			head = ""
		}
		fmt.Fprintf(tw, "%s\tseconds\t%.0f\n", head, t.Seconds)
	}
	for i, n := range []count{
		{"wrong bytes", c.Wrong}, {"lost acknowledged versions", c.Lost}, {"panics", c.Panics}, {"hangs", c.Hangs},
		{"other failures", c.Failed},
	} {
		head := ""
		if i == 0 {
			head = "must be 0"
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\n", head, n.What, n.N)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, t := range c.Parts {
		for _, f := range t.Failures {
			fmt.Fprintf(w, "\n%s: %s\n", t.Part, f)
		}
		if len(t.Failures) > 0 {
			fmt.Fprintf(w, "%s\n", firstOf(t.Replay, fmt.Sprintf("the same story again: firntorture -parts %s -seed %d", t.Part, c.Seeds[0])))
		}
	}
	return nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
