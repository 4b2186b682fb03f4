package cluster

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// tailLines is how many lines of a program's output an error quotes.
const tailLines = 20

// A meter reads the standard error of the go command and writes a line about the progress every ten
// seconds. It is safe for concurrent use.
type meter struct {
	out     io.Writer
	what    string
	total   int // packages to build; 0 while unknown
	started time.Time
	done    chan struct{}
	stopped chan struct{}

	mu         sync.Mutex
	rest       []byte // of a line that is not complete yet
	last       []string
	downloaded int
	compiled   int
}

func startMeter(out io.Writer, what string, total int) *meter {
	m := &meter{out: out, what: what, total: total, started: time.Now(), done: make(chan struct{}),
		stopped: make(chan struct{})}
	go m.report()
	return m
}

// stop stops the reports, and returns when nothing more will be written.
func (m *meter) stop() {
	close(m.done)
	<-m.stopped
}

func (m *meter) report() {
	defer close(m.stopped)
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-m.done:
			return
		case <-tick.C:
			fmt.Fprintln(m.out, m.line())
		}
	}
}

func (m *meter) line() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	elapsed := time.Since(m.started).Round(time.Second)
	if m.total == 0 {
		return fmt.Sprintf("  %s: %d modules downloaded, %s", m.what, m.downloaded, elapsed)
	}
	// The go command does not print packages that are in its cache.
	return fmt.Sprintf("  %s: %d of at most %d packages compiled, %s", m.what, m.compiled, m.total, elapsed)
}

// Write reads output of the go command.
func (m *meter) Write(output []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rest = append(m.rest, output...)
	for {
		line, rest, whole := bytes.Cut(m.rest, []byte{'\n'})
		if !whole {
			return len(output), nil
		}
		m.rest = rest
		m.count(string(line))
	}
}

// count handles the three kinds of lines: a download, a package being compiled, which is a single
// word, and anything else, which is kept for an error.
func (m *meter) count(line string) {
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		m.downloaded++
	case line != "" && !strings.ContainsAny(line, " \t"):
		m.compiled++
	default:
		m.last = append(m.last, line)
		m.last = m.last[max(0, len(m.last)-tailLines):]
	}
}

func (m *meter) tail() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(append(m.last, string(m.rest)), "\n")
}
