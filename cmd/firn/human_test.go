package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestHumanSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.00 KiB", 1536: "1.50 KiB",
		10 << 10: "10.0 KiB", 100 << 10: "100 KiB", 1<<20 - 1: "1.00 MiB", 1 << 20: "1.00 MiB",
		1023 << 20: "1023 MiB", 5 << 40: "5.00 TiB", math.MaxInt64: "8.00 EiB",
	} {
		if got := humanSize(n); got != want {
			t.Errorf("humanSize(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestHumanCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := humanCount(n); got != want {
			t.Errorf("humanCount(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestHumanDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0 s", 1234 * time.Millisecond: "1.2 s", 59 * time.Second: "59 s",
		61 * time.Second: "1 min 01 s", 2*time.Hour + 3*time.Minute: "2 h 03 min",
	} {
		if got := humanDuration(d); got != want {
			t.Errorf("humanDuration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1500": 1500, "10K": 10 << 10, "10k": 10 << 10, "10KiB": 10 << 10, "10 KiB": 10 << 10,
		"10KB": 10_000, "1.5G": 3 << 29, "2T": 2 << 40, "7B": 7,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "K", "-1", "5x", "1e30", "NaN", "Inf", "10KK", "0x10K", "1 000"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestParsePercent(t *testing.T) {
	for text, want := range map[string]float64{"5%": 5, "0.1%": 0.1, "100%": 100} {
		if got, err := parsePercent(text); err != nil || got != want {
			t.Errorf("parsePercent(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "%", "0%", "-1%", "101%", "NaN%", "5%%"} {
		if got, err := parsePercent(text); err == nil {
			t.Errorf("parsePercent(%q) = %v, want an error", text, got)
		}
	}
}

// Invariant 4.
func TestNamesCannotCommandATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain name":        "plain name",
		"größe":             "größe",
		"\x1b[2J":           `\x1b[2J`,
		"a\nfirn: all well": `a\nfirn: all well`,
		"\xff\xfe":          `\xff\xfe`,
		"right\u202eleft":   `right\u202eleft`,
		"\x00\x7f":          `\x00\x7f`,
		"\ufffd":            "\ufffd",
	} {
		if got := visible(text); got != want {
			t.Errorf("visible(%q) = %q, want %q", text, got, want)
		}
	}
}

// Invariant 4, for JSON: the characters go, and the value stays.
func TestJSONCannotCommandATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain größe":          `"plain größe"`,
		"\x1b[2J\x7f":          `"\u001b[2J\u007f"`,
		"a\u009b2J\u0085":      `"a\u009b2J\u0085"`,
		"right\u202eleft":      `"right\u202eleft"`,
		"tag \U000e0041 and 𝄞": `"tag \udb40\udc41 and 𝄞"`,
	} {
		raw, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		got := visibleJSON(raw)
		if string(got) != want {
			t.Errorf("visibleJSON(%q) = %s, want %s", text, got, want)
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != text {
			t.Errorf("%s means %q, want %q: %v", got, back, text, err)
		}
	}
}

func TestCutKeepsTheWidth(t *testing.T) {
	long := strings.Repeat("ä", 100) + "/end"
	for width := range 120 {
		got := []rune(cut(long, width))
		if len(got) > width && width < len([]rune(long)) {
			t.Errorf("cut to %d gives %d", width, len(got))
		}
		if width > 20 && !strings.HasSuffix(string(got), "/end") {
			t.Errorf("cut to %d loses the end: %q", width, string(got))
		}
	}
}
