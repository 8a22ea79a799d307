package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"
	"time"

	"github.com/firnstore/firn/repo"
)

// smallBody is the size in bytes up to which a body waits in memory and is stored by the
// commit itself. A larger one goes into packs as it comes.
const smallBody = 512 << 10

// freeBody is the size up to which the memory of a body is not counted: connections are
// bounded, too.
const freeBody = smallBody / 8

// slotWait is how long a body waits for its turn to be stored.
const slotWait = 20 * time.Second

// staged is a body that was read to its end and waits for its commit.
type staged struct {
	content repo.Content
	small   *repo.Prepared
	gen     *generation // held until release
	engine  *Engine

	buf    []byte
	memory *budget
	taken  int64
}

// release gives the memory of the body back, and lets go of its generation.
func (s *staged) release() {
	s.giveBack()
	if s.gen != nil {
		s.engine.release(s.gen)
		s.gen = nil
	}
}

func (s *staged) giveBack() {
	if s.buf != nil {
		putBuffer(s.buf)
		s.buf = nil
	}
	if s.taken > 0 {
		s.memory.give(s.taken)
		s.taken = 0
	}
}

// buffers are kept by size: powers of two from 1<<minBuffer to smallBody.
const minBuffer = 12

var buffers [20]sync.Pool

func getBuffer(n int) []byte {
	class := max(bits.Len(uint(n-1)), minBuffer)
	if b, ok := buffers[class-minBuffer].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 1<<class)
}

func putBuffer(b []byte) {
	b = b[:0]
	buffers[bits.Len(uint(cap(b)-1))-minBuffer].Put(&b)
}

// sized is a body that knows how much is left of it.
type sized interface{ Len() int64 }

// stage reads body to its end. An error of body is returned as it is.
func (e *Engine) stage(ctx context.Context, body io.Reader) (*staged, error) {
	st := &staged{engine: e, memory: &e.memory}
	whole, err := st.read(body)
	if err != nil {
		st.release()
		return nil, err
	}
	if whole {
		st.small, err = e.r.Prepare(st.buf)
		if err != nil {
			st.release()
			return nil, err
		}
		st.content = st.small.Content
		return st, nil
	}
	err = e.stream(ctx, st, io.MultiReader(bytes.NewReader(st.buf), body))
	st.giveBack()
	if err != nil {
		st.release()
		return nil, err
	}
	return st, nil
}

// read fills the buffer, growing it, until the body ends (whole), is no longer small, or there
// is no memory for more of it: then it goes into packs as it comes, like a large one.
func (s *staged) read(body io.Reader) (whole bool, err error) {
	want := 4096
	if l, ok := body.(sized); ok && l.Len() >= 0 {
		want = int(min(max(l.Len()+1, 4096), smallBody)) // one more, to see the end
	}
	s.buf = getBuffer(min(want, freeBody))
	for {
		if len(s.buf) == cap(s.buf) {
			if cap(s.buf) == smallBody || !s.grow() {
				return false, nil
			}
		}
		n, err := body.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// grow reports false when there is no memory. Nobody waits for it: many who have some, and
// wait for more, would wait for ever.
func (s *staged) grow() bool {
	n := int64(2 * cap(s.buf))
	if n > freeBody {
		if !s.memory.try(n - s.taken) {
			return false
		}
		s.taken = n
	}
	next := append(getBuffer(int(n)), s.buf...)
	putBuffer(s.buf)
	s.buf = next
	return true
}

// stream stores a body that is not small.
func (e *Engine) stream(ctx context.Context, st *staged, body io.Reader) error {
	// A slot is held as long as the client sends. One who finds none is told to come back.
	wait, cancel := context.WithTimeout(ctx, slotWait)
	defer cancel()
	select {
	case e.uploads <- struct{}{}:
		defer func() { <-e.uploads }()
	case <-wait.Done():
		if err := ctx.Err(); err != nil {
			return err
		}
		return fmt.Errorf("%d large bodies are being stored: %w", cap(e.uploads), ErrBusy)
	}
	g, err := e.acquire()
	if err != nil {
		return err
	}
	st.gen = g
	st.content, err = g.in.Stream(body, nil, nil)
	var source *repo.SourceError
	if errors.As(err, &source) {
		return source.Err
	}
	return err
}
