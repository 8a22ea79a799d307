package chunk

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/restic/chunker"
)

// The values were computed once and never change: they decide the IDs and the
// cuts of every repository.
func TestInvariant6DeriveIsGolden(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		secret []byte
		key    string
		pol    uint64
	}{
		{"1 to 32", testSecret(), "bb3a1d72733fabeff13c400ac7ce833bafad03386bde19c849d227d3a7faae3d", 0x3ecaf4d34fbeb5},
		{"zero", make([]byte, 32), "deb46e77f625aeee4f69e889b6e4a9e09e31b62c32dc2b161ba9da0149f60b1c", 0x350183cbb74a31},
	} {
		key, pol, err := Derive(test.secret)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(key[:]); got != test.key {
			t.Errorf("%s: key %s, want %s", test.name, got, test.key)
		}
		if got := uint64(pol); got != test.pol {
			t.Errorf("%s: polynomial %#x, want %#x", test.name, got, test.pol)
		}
		if p := chunker.Pol(pol); p.Deg() != scanDegree || !p.Irreducible() {
			t.Errorf("%s: polynomial %#x has degree %d, irreducible %v", test.name, uint64(p), p.Deg(), p.Irreducible())
		}
	}
}

func TestDeriveRefusesOtherLengths(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 31, 33, 64} {
		key, pol, err := Derive(make([]byte, n))
		if want := fmt.Sprintf("has %d bytes", n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Derive of %d bytes: error %v, want one with %q", n, err, want)
		}
		if key != (Key{}) || pol != 0 {
			t.Errorf("Derive of %d bytes returns a result beside the error", n)
		}
	}
}

func TestInvariant7SecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	key, pol, err := Derive(testSecret())
	if err != nil {
		t.Fatal(err)
	}
	type settings struct {
		Key Key
		Pol Polynomial
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%#x", "% x", "%d", "%o", "%b", "%c", "%U", "%64d"} {
		for _, test := range []struct {
			value any
			want  string
		}{
			{key, "chunk.Key(redacted)"},
			{&key, "chunk.Key(redacted)"},
			{pol, "chunk.Polynomial(redacted)"},
			{&pol, "chunk.Polynomial(redacted)"},
			{settings{key, pol}, "chunk.Key(redacted)"},
			{[]Polynomial{pol}, "chunk.Polynomial(redacted)"},
		} {
			got := fmt.Sprintf(verb, test.value)
			if !strings.Contains(got, test.want) {
				t.Errorf("%s of a %T prints %q, want %q", verb, test.value, got, test.want)
			}
			checkNoSecret(t, got, key, pol)
		}
	}
	if got := key.String() + pol.String(); got != "chunk.Key(redacted)chunk.Polynomial(redacted)" {
		t.Errorf("String methods give %q", got)
	}
}

func TestInvariant7HoldersOfSecretsDoNotPrintThem(t *testing.T) {
	t.Parallel()
	key, pol, err := Derive(testSecret())
	if err != nil {
		t.Fatal(err)
	}
	fast := mustCutter(t, DefaultProfile(), pol)
	slow := mustCutter(t, DefaultProfile(), 0x3DA3358B4DC1)
	for _, value := range []any{fast, *fast, NewHasher(key), *NewHasher(key)} {
		checkNoSecret(t, fmt.Sprintf("%v %+v %#v %x", value, value, value, value), key, pol)
	}
	checkNoSecret(t, fmt.Sprintf("%v %#v", slow, *slow), key, 0x3DA3358B4DC1)
}

func TestInvariant7SecretsAreNotMarshalled(t *testing.T) {
	t.Parallel()
	key, pol, err := Derive(testSecret())
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{key, &key, pol, &pol, []Key{key}, map[string]Polynomial{"p": pol}} {
		text, err := json.Marshal(value)
		if err == nil || !strings.Contains(err.Error(), errMarshalSecret.Error()) {
			t.Errorf("JSON of a %T: %d bytes, error %v; want error %v", value, len(text), err, errMarshalSecret)
		}
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("open", "key", key, "pol", pol)
	slog.New(slog.NewTextHandler(&log, nil)).Info("open", "key", key, "pol", pol)
	checkNoSecret(t, log.String(), key, pol)
}

// checkNoSecret fails if text holds the start of the key or the polynomial in a
// usual notation.
func checkNoSecret(t *testing.T, text string, key Key, pol Polynomial) {
	t.Helper()
	start := key[:4]
	for _, secret := range []string{
		fmt.Sprintf("%x", start), fmt.Sprintf("%X", start), fmt.Sprintf("% x", start), string(start),
		strings.Trim(fmt.Sprint(start), "[]"), strings.ReplaceAll(strings.Trim(fmt.Sprint(start), "[]"), " ", ","),
		strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", start), "[]byte{"), "}"),
		fmt.Sprintf("%d", uint64(pol)), fmt.Sprintf("%x", uint64(pol)), fmt.Sprintf("%X", uint64(pol)),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows the secret as %q", text, secret)
		}
	}
}

const metaKeyVector = "64aea3d7d3945262eedd6919548bc72375a3ddd16b00ada5633673fe89e204f9"

// The vector was computed once with another implementation of BLAKE3 and is part of
// the format.
func TestDeriveMeta(t *testing.T) {
	key, err := DeriveMeta(testSecret())
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := Derive(testSecret())
	if err != nil {
		t.Fatal(err)
	}
	if key == data {
		t.Error("metadata and data share a key")
	}
	if got, want := hex.EncodeToString(key[:]), metaKeyVector; got != want {
		t.Errorf("metadata key of the test secret: got %s, want %s", got, want)
	}
	if _, err := DeriveMeta(make([]byte, 31)); err == nil {
		t.Error("a secret of 31 bytes is accepted")
	}
}
