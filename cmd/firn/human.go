package main

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// humanSize writes a number of bytes with three digits and a unit that is a power of
// 1024.
func humanSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 1023.5 && unit < len("KMGTPE") {
		v /= 1024
		unit++
	}
	digits := 0
	switch {
	case v < 9.995:
		digits = 2
	case v < 99.95:
		digits = 1
	}
	return fmt.Sprintf("%.*f %ciB", digits, v, "KMGTPE"[unit-1])
}

// humanCount writes a number with its digits in groups of three.
func humanCount(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// counted writes a number and what it counts: "1 file", "12 files".
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanCount(n) + " " + many
}

// humanDuration writes a time span as a person would say it.
func humanDuration(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	}
	return fmt.Sprintf("%d h %02d min", s/3600, s%3600/60)
}

// ratio writes how many times smaller less is than more.
func ratio(more, less int64) string {
	if more <= 0 || less <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(more)/float64(less))
}

var sizeUnits = map[string]int64{
	"": 1, "B": 1,
	"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
	"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
	"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
}

// parseSize reads a number of bytes: 1500, 10K, 2.5GiB, 4MB. K and KiB are 1024 bytes,
// KB is 1000.
func parseSize(s string) (int64, error) {
	text := strings.TrimSpace(s)
	digits := strings.TrimRight(text, "KMGTBikmgtbI ")
	unit, ok := sizeUnits[strings.ToUpper(strings.TrimSpace(text[len(digits):]))]
	n, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || math.IsNaN(n) || n < 0 || n*float64(unit) >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a size: want a number with one of B, K, M, G, T, KiB, MiB, GiB, TiB, KB, MB, GB, TB", s)
	}
	return int64(n * float64(unit)), nil
}

// parsePercent reads "5%", above 0 and at most 100.
func parsePercent(s string) (float64, error) {
	digits, ok := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(n > 0 && n <= 100) {
		return 0, fmt.Errorf("%q is not a share: want a number above 0 and up to 100, with %%", s)
	}
	return n, nil
}

// visible makes control characters and bytes that are not UTF-8 visible, so that a name
// cannot command a terminal or pass for another line.
func visible(s string) string {
	clean := true
	for _, c := range s {
		clean = clean && c != utf8.RuneError && unicode.IsPrint(c)
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError && n <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(c):
			b.WriteRune(c)
		default:
			q := strconv.QuoteRune(c)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}

// visibleJSON does the same for JSON without changing what it means: beyond ASCII it has
// only text, and there every character may be written as an escape.
func visibleJSON(b []byte) []byte {
	if !bytes.ContainsFunc(b, hidden) {
		return b
	}
	out := make([]byte, 0, len(b)+16)
	for _, c := range string(b) {
		switch {
		case !hidden(c):
			out = utf8.AppendRune(out, c)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
	}
	return out
}

// hidden reports whether a character is none that a person sees. JSON itself escapes
// those before DEL.
func hidden(c rune) bool { return c >= 0x7f && !unicode.IsPrint(c) }

// cut shortens s to a width, in the middle.
func cut(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	if width < 8 {
		return ""
	}
	head := (width - 1) / 3
	return string(r[:head]) + "…" + string(r[len(r)-(width-1-head):])
}
