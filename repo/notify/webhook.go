package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// webhookConfig is a URL that gets a POST for each event.
type webhookConfig struct {
	fileBase `toml:"-"`
	common
	tlsConfig
	URL       string `toml:"url"`
	TokenFile string `toml:"token-file"` // Authorization: Bearer
	HMACFile  string `toml:"hmac-file"`  // key of X-Firn-Signature
}

func (c *webhookConfig) check() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return errors.New("url: want http://HOST/… or https://HOST/…")
	case u.User != nil:
		return errors.New("url: a password does not belong there; use token-file or hmac-file")
	}
	c.TLS = c.TLS || u.Scheme == "https"
	return c.tlsConfig.check()
}

func (c *webhookConfig) open() (Target, error) {
	w := &webhook{url: c.URL}
	var err error
	if w.token, err = c.secret("token-file", c.TokenFile); err != nil {
		return nil, err
	}
	if w.key, err = c.secret("hmac-file", c.HMACFile); err != nil {
		return nil, err
	}
	conf, err := c.load(c.fileBase)
	if err != nil {
		return nil, err
	}
	w.client = &http.Client{
		Timeout:       webhookWait,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{TLSClientConfig: conf, Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: webhookPosts,
			IdleConnTimeout: time.Minute, TLSHandshakeTimeout: webhookWait, ForceAttemptHTTP2: true},
	}
	return w, nil
}

const (
	webhookPosts = 8 // at a time
	webhookWait  = 15 * time.Second
	maxReply     = 64 << 10
)

type webhook struct {
	url, token, key string
	client          *http.Client
}

// Send implements Target: an answer of 2xx confirms.
func (w *webhook) Send(ctx context.Context, list []Message) []error {
	errs := make([]error, len(list))
	slots := make(chan struct{}, webhookPosts)
	var wg sync.WaitGroup
	for i := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = w.post(ctx, &list[i])
		})
	}
	wg.Wait()
	return errs
}

func (w *webhook) post(ctx context.Context, m *Message) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(m.Body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "firn")
	req.Header.Set("X-Firn-Event", m.ID)
	if w.token != "" {
		req.Header.Set("Authorization", "Bearer "+w.token)
	}
	if w.key != "" {
		mac := hmac.New(sha256.New, []byte(w.key))
		mac.Write(m.Body)
		req.Header.Set("X-Firn-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	res, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxReply) // so that the connection can be used again
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("POST %s: %s", w.url, res.Status)
	}
	return nil
}

// Close implements Target.
func (w *webhook) Close() { w.client.CloseIdleConnections() }
