package remote

import (
	"context"
	"fmt"
	"strconv"
	"sync"
)

// ahead fetches files with numbered names, such as commits of a log, before they are asked
// for, once a few have been read in order. Only what is there is kept: a file never changes,
// but one that is missing now may be there in a moment.
type ahead struct {
	mu      sync.Mutex
	next    string // the name after the one that was read last
	depth   int    // files to have on their way
	pending map[string]*fetch
}

type fetch struct {
	done chan struct{} // closed when data and err are there
	data []byte
	err  error
}

// The files that are fetched ahead, and the size of each, bound the memory.
const (
	maxDepth  = 16
	aheadSize = 1 << 20
)

// successor returns the name with the next number: the last 16 bytes of a name are one, in
// hexadecimal digits.
func successor(name string) (next string, ok bool) {
	const digits = 16
	if len(name) <= digits || name[len(name)-digits-1] != '/' {
		return "", false
	}
	stem, number := name[:len(name)-digits], name[len(name)-digits:]
	n, err := strconv.ParseUint(number, 16, 64)
	if err != nil || n+1 == 0 {
		return "", false
	}
	return stem + fmt.Sprintf("%016x", n+1), true
}

// take returns what is on its way under a name, or nil.
func (a *ahead) take(name string) *fetch {
	a.mu.Lock()
	defer a.mu.Unlock()
	x := a.pending[name]
	delete(a.pending, name)
	return x
}

// read notes that a file was read, and returns the fetches to begin.
func (a *ahead) read(name string) map[string]*fetch {
	next, ok := successor(name)
	if !ok {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if name == a.next {
		a.depth = min(max(1, 2*a.depth), maxDepth)
	} else {
		a.depth, a.pending = 0, nil
	}
	a.next = next
	begin := map[string]*fetch{}
	for range a.depth {
		if a.pending[next] == nil {
			if a.pending == nil {
				a.pending = map[string]*fetch{}
			}
			begin[next] = &fetch{done: make(chan struct{})}
			a.pending[next] = begin[next]
		}
		if next, ok = successor(next); !ok {
			break
		}
	}
	return begin
}

// readAhead returns a file that was fetched ahead, or nil.
func (s *Store) readAhead(ctx context.Context, name string, limit int64) []byte {
	x := s.ahead.take(name)
	if x == nil {
		return nil
	}
	select {
	case <-x.done:
	case <-ctx.Done():
		return nil
	}
	if x.err != nil || int64(len(x.data)) > limit {
		return nil
	}
	return x.data
}

// follow fetches what will be asked for after a file, as it seems. Nobody waits for that:
// what fails is read again when it is asked for.
func (s *Store) follow(name string) {
	for name, x := range s.ahead.read(name) {
		go func() {
			defer close(x.done)
			x.err = s.try(s.life, func(ctx context.Context) (err error) {
				x.data, err = s.readWhole(ctx, name, aheadSize)
				return err
			})
		}()
	}
}
