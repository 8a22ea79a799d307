package kill

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// build makes the binary that is tortured.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "firn")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/firnstore/firn/cmd/firn").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

func options(t *testing.T, cycles int64) Options {
	t.Helper()
	return Options{Firn: build(t), Dir: t.TempDir(), Seed: 1, Until: time.Now().Add(10 * time.Second), Cycles: cycles, Log: func(s string) { t.Log(s) }}
}

func fine(t *testing.T, s *Score, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !s.Fine() {
		t.Errorf("%+v", s)
	}
	t.Logf("%v blows, %d runs, %d checks, %d restores, %d objects", s.Blows, s.Runs, s.Checks, s.Restores, s.Objects)
}

func TestKilledAtAnyMoment(t *testing.T) {
	s, err := Run(t.Context(), options(t, 10))
	fine(t, s, err)
	if s.Total() < 3 {
		t.Errorf("%d kills in 10 seconds", s.Total())
	}
}

func TestMain(m *testing.M) {
	if code, ok := InOwnMounts(); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func TestFullDisk(t *testing.T) {
	s, err := Fill(t.Context(), options(t, 4))
	if s.Skipped != "" {
		t.Skip(s.Skipped)
	}
	fine(t, s, err)
}

func TestPowerFailure(t *testing.T) {
	s, err := Power(t.Context(), options(t, 7))
	if s.Skipped != "" {
		t.Skip(s.Skipped)
	}
	fine(t, s, err)
}

func TestCrowd(t *testing.T) {
	opt := options(t, 0)
	opt.Until = time.Now().Add(3 * time.Second)
	s, err := Crowd(t.Context(), opt)
	fine(t, s, err)
	for _, verb := range []string{"backup", "prune", "check"} {
		if s.Blows[verb] == 0 {
			t.Errorf("no %s", verb)
		}
	}
}
