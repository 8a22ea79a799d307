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
// added outlives the process; the last ones before a power failure may be lost. Servers of
// one repository share a directory, in which each has a folder of its own, and takes over
// those of servers that are gone.
type logSpool struct {
	base string
	dir  string
	own  *os.File      // locked
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

// maxSpools bounds the servers that share a directory.
const maxSpools = 64

// openLogSpool opens a spool below a directory, with what earlier processes left.
func openLogSpool(base string) (*logSpool, error) {
	for n := range maxSpools {
		dir := filepath.Join(base, strconv.Itoa(n))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("spool of access logs: %w", err)
		}
		own := claimSpool(dir)
		if own == nil {
			continue
		}
		s := &logSpool{base: base, dir: dir, own: own, full: make(chan struct{}, 1)}
		files, err := s.files()
		for _, f := range files {
			s.next = max(s.next, f+1)
		}
		return s, err
	}
	return nil, fmt.Errorf("spool of access logs: %d servers use %s", maxSpools, base)
}

// claimSpool locks the folder of a spool; nil when another process has it.
func claimSpool(dir string) *os.File {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil
	}
	if !lockFile(f) {
		_ = f.Close()
		return nil
	}
	return f
}

// adopt takes over what servers left that are gone. s.mu is held.
func (s *logSpool) adopt() error {
	for n := range maxSpools {
		dir := filepath.Join(s.base, strconv.Itoa(n))
		if dir == s.dir {
			continue
		}
		if _, err := os.Stat(dir); err != nil {
			return nil // there never were more
		}
		own := claimSpool(dir)
		if own == nil {
			continue
		}
		left := &logSpool{dir: dir}
		files, err := left.files()
		for _, f := range files {
			if err == nil {
				err = os.Rename(left.path(f), s.path(s.next))
				s.next++
			}
		}
		if err = errors.Join(err, own.Close()); err != nil {
			return fmt.Errorf("spool of access logs: %w", err)
		}
	}
	return nil
}

// close lets go of the spool, which keeps its lines.
func (s *logSpool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.rotate(), s.own.Close())
}

func (s *logSpool) path(n uint64) string { return filepath.Join(s.dir, fmt.Sprintf("%016x.log", n)) }

// files are the numbers of the files, oldest first.
func (s *logSpool) files() (list []uint64, err error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // somebody removed it
	}
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
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return fmt.Errorf("spool of access logs: %w", err)
		}
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
		_ = s.rotate() // the next line must not follow half a one
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
	if err := s.adopt(); err != nil {
		return nil, 0, err
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
