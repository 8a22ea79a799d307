package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Only an answer of 2xx confirms; secrets go with each request, and never to where a
// redirect points.
func TestWebhook(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hook", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte("key"))
		mac.Write(body)
		if r.Header.Get("Authorization") != "Bearer token" || r.Header.Get("X-Firn-Signature") != "sha256="+hex.EncodeToString(mac.Sum(nil)) ||
			r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-Firn-Event") == "" {
			t.Errorf("headers %v", r.Header)
		}
		switch string(body) {
		case "refused":
			w.WriteHeader(http.StatusTeapot)
		case "elsewhere":
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	mux.HandleFunc("/other", func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	server := httptest.NewServer(mux)
	defer server.Close()
	w := &webhook{url: server.URL + "/hook", token: "token", key: "key", client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	defer w.Close()
	errs := w.Send(t.Context(), []Message{{ID: "1", Body: []byte("a")}, {ID: "2", Body: []byte("refused")}, {ID: "3", Body: []byte("elsewhere")}, {ID: "4", Body: []byte("b")}})
	if errs[0] != nil || errs[3] != nil || errs[1] == nil || !strings.Contains(errs[1].Error(), "418") || errs[2] == nil || !strings.Contains(errs[2].Error(), "307") {
		t.Errorf("%v", errs)
	}
	server.Close()
	if errs := w.Send(t.Context(), []Message{{ID: "1"}}); errs[0] == nil {
		t.Error("a server that is gone has confirmed")
	}
}
