package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestSteps takes a small server through all steps.
func TestSteps(t *testing.T) {
	var mu sync.Mutex
	objects := map[string][]byte{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		switch r.Method {
		case "PUT":
			objects[r.URL.Path], _ = io.ReadAll(r.Body)
		case "DELETE":
			delete(objects, r.URL.Path)
		case "GET":
			if r.URL.Path == "/b" {
				for k := range objects {
					_, _ = io.WriteString(w, "<Key>"+k+"</Key>")
				}
				return
			}
			_, _ = w.Write(objects[r.URL.Path])
		}
	}))
	defer s.Close()
	opt := &options{bucket: "b", clients: 3, objects: 50, size: 100, large: 100_000, rounds: 1, targets: []target{{"x", s.URL}}}
	if err := run(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	if len(objects) != 2 { // the bucket and the large object
		t.Errorf("%d objects are left", len(objects))
	}
	opt.size = 101
	if _, err := getSmall(t.Context(), newClient(s.URL, 1), opt, 1); err == nil {
		t.Error("a short object was not noticed")
	}
}
