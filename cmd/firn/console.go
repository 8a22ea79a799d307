package main

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// console is standard error: messages, and on a terminal one line below them that shows
// progress. It is safe for concurrent use.
type console struct {
	mu   sync.Mutex
	file *os.File
	tty  bool
	line bool // the line of progress is shown
}

func newConsole(f *os.File) *console {
	return &console{file: f, tty: term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"}
}

// message prints one line for a person, after the name of the program.
func (c *console) message(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
	fmt.Fprintf(c.file, "firn: %s\n", visible(text))
}

// Write prints what cobra has to say.
func (c *console) Write(p []byte) (int, error) {
	for _, line := range strings.Split(strings.TrimRight(string(p), "\n"), "\n") {
		c.message(line)
	}
	return len(p), nil
}

// show puts text on the line of progress, cut to the width of the terminal.
func (c *console) show(text func(width int) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.tty {
		return
	}
	width, _, err := term.GetSize(int(c.file.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	fmt.Fprintf(c.file, "\r%s\x1b[K", text(width-1))
	c.line = true
}

// clear removes the line of progress.
func (c *console) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
}

func (c *console) erase() {
	if c.line {
		fmt.Fprint(c.file, "\r\x1b[K")
		c.line = false
	}
}
