package s3

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// logSpool keeps lines of access logs in files until they are delivered. A line that was
// added outlives the process; the last ones before a power failure may be lost. It belongs
// to one process at a time.
type logSpool struct {
	dir  string
	full chan struct{} // gets something when a file has become large

	mu   sync.Mutex
	f    *os.File // nil: the next line begins another
	size int64
	next uint64
}

// Bounds of the spool, in bytes.
const (
	logFileSize  = 8 << 20 // of a file, which is delivered at once then
	logSpoolSize = 1 << 30 // of all; the oldest files are given up beyond that
)

// openLogSpool opens the spool in a directory, with what an earlier process left.
func openLogSpool(dir string) (*logSpool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool of access logs: %w", err)
	}
	s := &logSpool{dir: dir, full: make(chan struct{}, 1)}
	files, err := s.files()
	for _, f := range files {
		s.next = max(s.next, f+1)
	}
	return s, err
}

func (s *logSpool) path(n uint64) string { return filepath.Join(s.dir, fmt.Sprintf("%016x.log", n)) }

// files are the numbers of the files, oldest first.
func (s *logSpool) files() (list []uint64, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("spool of access logs: %w", err)
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".log"); ok && len(name) == 16 {
			if n, err := strconv.ParseUint(name, 16, 64); err == nil {
				list = append(list, n)
			}
		}
	}
	slices.Sort(list)
	return list, nil
}

// add appends the line of a request to a bucket. Neither has a line break.
func (s *logSpool) add(bucket, line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		f, err := os.OpenFile(s.path(s.next), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("spool of access logs: %w", err)
		}
		s.f, s.size = f, 0
		s.next++
	}
	n, err := s.f.WriteString(bucket + " " + line + "\n")
	s.size += int64(n)
	if err != nil {
		return fmt.Errorf("spool of access logs: %w", err)
	}
	if s.size >= logFileSize {
		err = s.rotate()
		select {
		case s.full <- struct{}{}:
		default:
		}
	}
	return err
}

// rotate ends the present file. s.mu is held.
func (s *logSpool) rotate() error {
	if s.f == nil {
		return nil
	}
	err := s.f.Close()
	s.f = nil
	return err
}

// waiting ends the present file and returns what is to be delivered. Beyond the size of
// the spool, the oldest files are removed; lost is how many.
func (s *logSpool) waiting() (list []uint64, lost int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.rotate(); err != nil {
		return nil, 0, fmt.Errorf("spool of access logs: %w", err)
	}
	if list, err = s.files(); err != nil {
		return nil, 0, err
	}
	var total int64
	for i := len(list) - 1; i >= 0; i-- {
		fi, err := os.Stat(s.path(list[i]))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("spool of access logs: %w", err)
		}
		if total += fi.Size(); total > logSpoolSize {
			for _, n := range list[:i+1] {
				if err := s.remove(n); err != nil {
					return nil, lost, err
				}
				lost++
			}
			return list[i+1:], lost, nil
		}
	}
	return list, 0, nil
}

// read calls f for the lines of a file, and with the bucket of each. What a crash left of a
// last line is left out.
func (s *logSpool) read(n uint64, f func(bucket string, line []byte)) error {
	data, err := os.ReadFile(s.path(n))
	if err != nil {
		return fmt.Errorf("spool of access logs: %w", err)
	}
	in := bufio.NewScanner(bytes.NewReader(data[:bytes.LastIndexByte(data, '\n')+1]))
	in.Buffer(nil, logFileSize)
	for in.Scan() {
		bucket, line, ok := bytes.Cut(in.Bytes(), []byte(" "))
		if ok {
			f(string(bucket), line)
		}
	}
	return in.Err()
}

func (s *logSpool) remove(n uint64) error {
	if err := os.Remove(s.path(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("spool of access logs: %w", err)
	}
	return nil
}
