package s3

import (
	"hash"
	"io"
)

// digestInline is how many bytes of a body are hashed by who reads it. The rest of a
// longer body is hashed by a goroutine of its own, beside the pipeline: MD5 is slower than
// what else is done with a byte.
const (
	digestInline = 256 << 10
	digestBuffer = 128 << 10
	digestDepth  = 4 // buffers on their way to the goroutine
)

// digester is a reader that hashes what is read from it.
type digester struct {
	src    io.Reader
	hashes []hash.Hash
	n      int64 // bytes read

	fill []byte      // what is being gathered for the goroutine
	work chan []byte // nil until there is one
	free chan []byte
	done chan struct{}
}

// newDigester returns a reader of src. stop has to be called when it is no longer needed.
func newDigester(src io.Reader, hashes ...hash.Hash) *digester {
	return &digester{src: src, hashes: hashes}
}

// Len is how much is left to read, -1 when that is not known.
func (d *digester) Len() int64 { return remaining(d.src) }

// remaining asks a reader how much is left of it.
func remaining(r io.Reader) int64 {
	if s, ok := r.(interface{ Len() int64 }); ok {
		return s.Len()
	}
	return -1
}

// Read implements io.Reader.
func (d *digester) Read(p []byte) (int, error) {
	n, err := d.src.Read(p)
	d.n += int64(n)
	switch {
	case len(d.hashes) == 0:
	case d.n <= digestInline:
		d.write(p[:n])
	default:
		d.hand(p[:n])
	}
	return n, err
}

func (d *digester) write(p []byte) {
	for _, h := range d.hashes {
		h.Write(p)
	}
}

// hand copies bytes for the goroutine, which begins with the first of them.
func (d *digester) hand(p []byte) {
	if d.work == nil {
		d.work = make(chan []byte, digestDepth)
		d.free = make(chan []byte, digestDepth)
		d.done = make(chan struct{})
		for range digestDepth {
			d.free <- nil // made when it is needed
		}
		go func() {
			defer close(d.done)
			for b := range d.work {
				d.write(b)
				d.free <- b[:0]
			}
		}()
	}
	for len(p) > 0 {
		if d.fill == nil {
			if d.fill = <-d.free; d.fill == nil {
				d.fill = make([]byte, 0, digestBuffer)
			}
		}
		k := min(len(p), digestBuffer-len(d.fill))
		d.fill = append(d.fill, p[:k]...)
		p = p[k:]
		if len(d.fill) == digestBuffer {
			d.work <- d.fill
			d.fill = nil
		}
	}
}

// finish waits until all that was read is hashed. Nothing may be read after it.
func (d *digester) finish() {
	if d.work == nil {
		return
	}
	if len(d.fill) > 0 {
		d.work <- d.fill
		d.fill = nil
	}
	d.stop()
}

// stop ends the goroutine. It may be called more than once.
func (d *digester) stop() {
	if d.work != nil {
		close(d.work)
		<-d.done
		d.work = nil
	}
}
