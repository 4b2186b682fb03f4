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
// seconds: of go build -v how many packages are compiled, of go build -n how many modules are
// downloaded; it also counts what the latter would do. It is safe for concurrent use.
type meter struct {
	out     io.Writer
	total   int // packages to build; 0 for go build -n
	started time.Time
	done    chan struct{}
	stopped chan struct{}

	mu         sync.Mutex
	rest       []byte // of a line that is not complete yet
	last       []string
	downloaded int
	compiled   int
	compiles   int // by go build -n
	links      int
}

func newMeter(out io.Writer, total int) *meter {
	return &meter{out: out, total: total, done: make(chan struct{}), stopped: make(chan struct{})}
}

// start starts the reports.
func (m *meter) start() {
	m.started = time.Now()
	go m.report()
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
		return fmt.Sprintf("  %d modules downloaded, %s", m.downloaded, elapsed)
	}
	return fmt.Sprintf("  %d of %d packages compiled, %s", m.compiled, m.total, elapsed)
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

// count handles a line: a download, a command that go build -n would run, a package being compiled,
// which is a single word, and anything else, which is kept for an error.
func (m *meter) count(line string) {
	switch {
	case m.total == 0 && strings.Contains(line, "/compile -o "):
		m.compiles++
	case m.total == 0 && strings.Contains(line, "/link -o "):
		m.links++
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
