package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// gate is a delegate, the type of which is its name, that says when that verb of it runs, and waits until it is let on. Then it is the bridge plugin.
type gate struct{ running, on *os.File }

func (tn *tenant) gate(t *testing.T, name, verb string) gate {
	t.Helper()
	running, on := fifo(t, filepath.Join(tn.dir, name+".running")), fifo(t, filepath.Join(tn.dir, name+".on"))
	tn.script(t, name, `
if [ "$CNI_COMMAND" = `+verb+` ]; then
	echo >`+running.Name()+`
	read line <`+on.Name()+`
fi
exec `+suite.plugins+`/bridge
`)
	return gate{running: running, on: on}
}

// fifo is open for reading and writing, so that neither end waits for the other to be opened.
func fifo(t *testing.T, path string) *os.File {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// await is until the delegate runs.
func (g gate) await(t *testing.T) {
	t.Helper()
	if err := g.running.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.running.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the delegate does not run: %v", err)
	}
}

// open lets the delegate on.
func (g gate) open(t *testing.T) {
	t.Helper()
	if _, err := g.on.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
}
