package s3

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestBoundedReader(t *testing.T) {
	for _, c := range []struct {
		size, limit int64
		code        string
	}{{10, 10, ""}, {11, 10, "EntityTooLarge"}, {0, 0, ""}} {
		r := &boundedReader{r: bytes.NewReader(make([]byte, c.size)), left: c.limit, size: -1}
		_, err := io.ReadAll(r)
		wantCode(t, err, c.code)
	}
}

func TestBodyThatEndsEarly(t *testing.T) {
	for _, key := range [][]byte{nil, testKey(1)} {
		b, err := newBody(key, "", false, &boundedReader{r: bytes.NewReader(make([]byte, 10)), left: 100, size: 11})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, b.Reader); err != nil {
			t.Fatal(err)
		}
		_, err = b.finish()
		wantCode(t, err, "IncompleteBody")
		b.stop()
	}
}

// TestErrorOfBodyStaysItself makes sure that what verifies the body is heard through all the
// readers around it.
func TestErrorOfBodyStaysItself(t *testing.T) {
	broken := errors.New("broken")
	for _, key := range [][]byte{nil, testKey(1)} {
		b, err := newBody(key, "SHA256", true, io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), errorReader{broken}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, b.Reader); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		b.stop()
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }
