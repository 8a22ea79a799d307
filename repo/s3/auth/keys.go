package auth

import (
	"sync"
	"time"
)

// maxKeys bounds the derived keys that are kept. Each is of one pair of keys, one region and
// one day, and was used for a signature that held.
const maxKeys = 1024

// keyCache keeps derived keys for the day. The zero value is empty.
type keyCache struct {
	mu    sync.RWMutex
	today string // when the keys were put
	keys  map[keyName]signingKey
}

// keyName has the secret, too, so that a key derived from one that was replaced is never found.
type keyName struct {
	credential
	secret string
}

func (c *keyCache) get(cred credential, secret string) (signingKey, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k, ok := c.keys[keyName{cred, secret}]
	return k, ok
}

func (c *keyCache) put(cred credential, secret string, key signingKey, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if today := now.UTC().Format(amzDay); c.keys == nil || today != c.today || len(c.keys) >= maxKeys {
		c.keys, c.today = map[keyName]signingKey{}, today
	}
	c.keys[keyName{cred, secret}] = key
}
