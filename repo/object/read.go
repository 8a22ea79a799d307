package object

import (
	"context"
	"io"

	"github.com/firnstore/firn/repo"
)

// Sizes of what is read at a time.
const (
	readWindow  = 1 << 20   // of a long range
	readAhead   = 3         // windows, if the memory for them is free
	smallWindow = 128 << 10 // of those for whom it is not
)

// window is a piece of a range on its way to the writer.
type window struct {
	buf   []byte
	n     int
	err   error
	ready chan struct{}
}

// Copy writes n bytes of a content from offset off on to w, reading ahead while w takes
// what came before. It returns how many bytes w took. Every byte was checked against the
// ID of its chunk before; an error after some bytes means that the rest cannot be had:
// repo.ErrDamaged, io.ErrUnexpectedEOF when the content ends before, or that of w.
func (e *Engine) Copy(ctx context.Context, w io.Writer, c repo.Content, off, n int64) (int64, error) {
	src := e.r.OpenContent(ctx, c)
	if n <= smallBody {
		return copySmall(w, src, off, n)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	size, held := int64(readWindow), 0
	for held < readAhead && int64(held)*size < n && e.reading.try(size) {
		held++
	}
	defer e.reading.give(int64(held) * size) // as counted here
	if held == 0 {                           // many read at a time: each goes on in small steps, none waits for another
		size, held = smallWindow, 1
	}
	free := make(chan *window, held)
	for range held {
		free <- &window{buf: getBuffer(int(size))[:size]}
	}
	queue := make(chan *window, held)
	go func() {
		defer close(queue)
		for at, end := off, off+n; at < end; {
			var win *window
			select {
			case win = <-free:
			case <-ctx.Done():
				return
			}
			// Windows end at multiples of their size, so that frames are seldom decoded twice.
			win.n = int(min(end, (at/size+1)*size) - at)
			win.ready = make(chan struct{})
			queue <- win
			go win.read(src, at)
			at += int64(win.n)
		}
	}()
	var done int64
	var err error
	for win := range queue {
		<-win.ready
		if err == nil {
			err = win.err
		}
		if err == nil {
			var k int
			k, err = w.Write(win.buf[:win.n])
			done += int64(k)
		}
		if err != nil {
			cancel()
		}
		select {
		case free <- win:
		default:
		}
	}
	if err == nil && done < n {
		err = context.Cause(ctx)
	}
	for range held {
		putBuffer((<-free).buf)
	}
	return done, err
}

func (win *window) read(src io.ReaderAt, at int64) {
	defer close(win.ready)
	k, err := src.ReadAt(win.buf[:win.n], at)
	if k < win.n {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		win.err = err
	}
}

func copySmall(w io.Writer, src io.ReaderAt, off, n int64) (int64, error) {
	if n <= 0 {
		return 0, nil
	}
	buf := getBuffer(int(n))[:n]
	defer putBuffer(buf)
	k, err := src.ReadAt(buf, off)
	if int64(k) < n {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	k, err = w.Write(buf)
	return int64(k), err
}
