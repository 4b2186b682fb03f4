package kactustest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Gate is a delegate that reports when one of its operations runs and waits there until the test
// opens it. Then it does what the bridge plugin does.
type Gate struct{ running, open *os.File }

// NewGate adds a [Gate] of that plugin type, which stops at that operation.
func (tn *Tenant) NewGate(t *testing.T, plugin, operation string) Gate {
	t.Helper()
	g := Gate{
		running: NewFIFO(t, filepath.Join(tn.Dir, plugin+".running")),
		open:    NewFIFO(t, filepath.Join(tn.Dir, plugin+".open")),
	}
	tn.AddScript(t, plugin, `
if [ "$CNI_COMMAND" = `+operation+` ]; then
	echo >`+g.running.Name()+`
	read line <`+g.open.Name()+`
fi
exec `+PluginDir()+`/bridge
`)
	return g
}

// Await waits until the delegate runs.
func (g Gate) Await(t *testing.T) {
	t.Helper()
	AwaitWrite(t, g.running)
}

// Open lets the delegate continue.
func (g Gate) Open(t *testing.T) {
	t.Helper()
	_, err := g.open.WriteString("\n")
	Must(t, err)
}

// NewFIFO makes a FIFO and opens it for reading and writing, so that neither end waits for the
// other to be opened.
func NewFIFO(t *testing.T, path string) *os.File {
	t.Helper()
	Must(t, syscall.Mkfifo(path, 0o600))
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	Must(t, err)
	t.Cleanup(func() { file.Close() })
	return file
}

// AwaitWrite waits until a delegate writes a byte to the FIFO.
func AwaitWrite(t *testing.T, fifo *os.File) {
	t.Helper()
	Must(t, fifo.SetReadDeadline(time.Now().Add(10*time.Second)))
	if _, err := fifo.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the delegate does not run: %v", err)
	}
}

// ProcessEnded reports whether the process whose ID is in that file has ended, even if its parent
// has not waited for it.
func ProcessEnded(t *testing.T, pidFile string) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(readPID(t, pidFile)) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// EndProcess kills the process whose ID is in that file.
func EndProcess(t *testing.T, pidFile string) {
	t.Helper()
	Must(t, syscall.Kill(readPID(t, pidFile), syscall.SIGKILL))
}

func readPID(t *testing.T, pidFile string) int {
	t.Helper()
	data, err := os.ReadFile(pidFile)
	Must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	Must(t, err)
	return pid
}
