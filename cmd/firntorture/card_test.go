package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
)

// The card is fine as long as everything that must be 0 is, and names what is not.
func TestCard(t *testing.T) {
	c := newCard(&options{seed: 7, firn: "/nowhere"})
	t1 := &tally{Part: "sim", Seeds: 3, Seconds: 60}
	t1.count("simulated crash states", 123)
	c.add(t1)
	c.add(&tally{Part: "power", Skipped: "no disk"})
	if !c.Fine || c.Seeds != [2]uint64{7, 9} {
		t.Errorf("%+v", c)
	}
	c.add(&tally{Part: "kill", Wrong: 1, Failures: []string{"snapshot x: y differs"}})
	if c.Fine || c.Wrong != 1 {
		t.Errorf("wrong bytes, but %+v", c)
	}
	var out bytes.Buffer
	if err := c.print(&out, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"seeds 7 to 9", "simulated crash states", "123", "skipped: no disk", "wrong bytes", "kill: snapshot x: y differs", "-parts kill -seed 7"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := c.print(&out, true); err != nil || !json.Valid(out.Bytes()) {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestOptions(t *testing.T) {
	for _, args := range [][]string{{"-parts", "nothing"}, {"-minutes", "0"}, {"more"}} {
		if _, err := parseOptions(args, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	opt, err := parseOptions([]string{"-parts", "heal,sim", "-seed", "3"}, io.Discard)
	if err != nil || len(opt.parts) != 2 || opt.parts[0].name != "heal" || opt.seed != 3 {
		t.Errorf("%+v, %v", opt, err)
	}
}
