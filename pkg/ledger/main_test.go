package ledger

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// asOtherProcess is set in the environment of a test process that is to do one thing with the ledger, as another kactus would: "plan" or "hold".
const asOtherProcess = "KACTUS_TEST_LEDGER"

func TestMain(m *testing.M) {
	what := os.Getenv(asOtherProcess)
	if what == "" {
		os.Exit(m.Run())
	}
	if err := otherProcess(what, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// otherProcess locks the container's record, says so, and plans for it or holds it until its stdin ends.
func otherProcess(what, dir, id string) error {
	l, err := Open(dir)
	if err != nil {
		return err
	}
	b, err := l.Lock(context.Background(), id)
	if err != nil {
		return err
	}
	defer b.Close()
	if what == "plan" {
		e, err := newEntry("eth0")
		if err == nil {
			err = b.Plan(context.Background(), Netns{}, podargs.Pod{}, "eth0", []Entry{e})
		}
		if err != nil {
			return err
		}
	}
	fmt.Println(what)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startOther starts otherProcess and waits until it has the lock. The returned function lets it end.
func startOther(t *testing.T, what, dir, id string) (cmd *exec.Cmd, end func()) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(exe, dir, id)
	cmd.Env = append(os.Environ(), asOtherProcess+"="+what)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}
	t.Cleanup(end)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != what+"\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	return cmd, end
}

// open opens a ledger in a folder that is not there yet.
func open(t *testing.T) (Ledger, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kactus")
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l, dir
}

// lock locks a container's record, for half a minute at most.
func lock(t *testing.T, l Ledger, id string) *Book {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	b, err := l.Lock(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newEntry is an attachment as an ADD plans it.
func newEntry(device string) (Entry, error) {
	chain, err := cniconf.Parse([]byte(`{"type": "bridge", "bridge": "br0", "mtu": 1400}`), cniconf.Defaults{Name: "of-" + device, CNIVersion: "1.0.0"})
	return Entry{
		Attachment: plan.Attachment{
			Network:       "of-" + device,
			Namespace:     "tenant",
			Device:        device,
			MAC:           "0a:00:00:00:00:01",
			IPs:           []string{"10.0.0.1/24"},
			Config:        chain,
			RuntimeConfig: map[string]json.RawMessage{"mac": json.RawMessage(`"0a:00:00:00:00:01"`)},
		},
		State:   Planned,
		Args:    "IgnoreUnknown=1;K8S_POD_NAME=app",
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}, err
}

func entry(t *testing.T, device string) Entry {
	t.Helper()
	e, err := newEntry(device)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// planned plans attachments of those devices.
func planned(t *testing.T, b *Book, devices ...string) {
	t.Helper()
	var entries []Entry
	for _, device := range devices {
		entries = append(entries, entry(t, device))
	}
	if err := b.Plan(context.Background(), Netns{Path: "/run/netns/a", Inode: 7}, podargs.Pod{Namespace: "tenant", Name: "app"}, "eth0", entries); err != nil {
		t.Fatal(err)
	}
}

// devicesOf are the devices of entries, as one string.
func devicesOf(entries []Entry) string {
	s := ""
	for _, e := range entries {
		s += e.Device + " "
	}
	return s
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
