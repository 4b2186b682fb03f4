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
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// otherProcess is the environment variable that makes the test binary do one thing with a ledger,
// as another kactus would, instead of running tests. Its value is a key of otherProcesses.
const otherProcess = "KACTUS_TEST_LEDGER"

// otherProcesses returns, by name, what another process can do with a container's record. Each
// returns the lock that its delegates would inherit.
var otherProcesses = map[string]func(l Ledger, id string) (*os.File, error){
	"hold": func(l Ledger, id string) (*os.File, error) {
		r, err := l.Lock(context.Background(), id)
		if err != nil {
			return nil, err
		}
		return r.LockFile(), nil
	},
	"plan": func(l Ledger, id string) (*os.File, error) {
		r, err := l.Lock(context.Background(), id)
		if err != nil {
			return nil, err
		}
		a, err := newAttachment("eth0")
		if err != nil {
			return nil, err
		}
		return r.LockFile(), r.WritePlanned(context.Background(), netns.ID{}, podargs.Pod{}, "eth0", []Attachment{a})
	},
	"hold-old": func(l Ledger, id string) (*os.File, error) { return oldLock(l, id) },
}

func TestMain(m *testing.M) {
	name := os.Getenv(otherProcess)
	if name == "" {
		m.Run()
		return
	}
	if err := runOtherProcess(name, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runOtherProcess does what name says for the ledger and the container in args, prints name, and
// keeps the lock until stdin ends. Then it exits without unlocking, as a kactus that crashes. With
// a fourth argument, it starts a child first that inherits the lock, and prints the child's process
// ID too.
func runOtherProcess(name string, args []string) error {
	l, err := Open(args[0], args[1])
	if err != nil {
		return err
	}
	lock, err := otherProcesses[name](l, args[2])
	if err != nil {
		return err
	}
	if len(args) > 3 {
		child := exec.Command("sleep", "1000")
		child.ExtraFiles = []*os.File{lock}
		if err := child.Start(); err != nil {
			return err
		}
		name += fmt.Sprintf(" %d", child.Process.Pid)
	}
	fmt.Println(name)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// other is another process that has locked a container.
type other struct {
	*exec.Cmd
	stdin io.Closer
	child *os.Process // nil for none
}

// startOther starts a process that does what name says, and waits until it has the lock.
func startOther(t *testing.T, name string, l Ledger, id string, options ...string) *other {
	t.Helper()
	o := &other{Cmd: otherCommand(t, name, l, id, options...)}
	var err error
	o.stdin, err = o.StdinPipe()
	must(t, err)
	stdout, err := o.StdoutPipe()
	must(t, err)
	must(t, o.Start())
	t.Cleanup(o.end)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, name) {
		t.Fatalf("the other process printed %q, %v", line, err)
	}
	var pid int
	if n, _ := fmt.Sscanf(line, name+" %d", &pid); n == 1 {
		o.child, err = os.FindProcess(pid)
		must(t, err)
		t.Cleanup(o.killChild)
	}
	return o
}

func otherCommand(t *testing.T, name string, l Ledger, id string, options ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe, append([]string{l.dir, l.lockDir, id}, options...)...)
	cmd.Env = append(os.Environ(), otherProcess+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// end lets the process end.
func (o *other) end() {
	_ = o.stdin.Close()
	_ = o.Wait()
}

func (o *other) kill() {
	_ = o.Process.Kill()
	_ = o.Wait()
}

func (o *other) killChild() { _ = o.child.Kill() }

// withChild makes the other process start a child that inherits the lock.
const withChild = "with-child"

// openLedger opens a ledger whose directories do not exist yet.
func openLedger(t testing.TB) Ledger {
	t.Helper()
	dir := t.TempDir()
	l, err := Open(filepath.Join(dir, "kactus"), filepath.Join(dir, "run", "kactus"))
	must(t, err)
	return l
}

// lock locks the container's record, and waits for that for half a minute at most.
func lock(t testing.TB, l Ledger, id string) *LockedRecord {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := l.Lock(ctx, id)
	must(t, err)
	return r
}

// tryLock locks and unlocks the container's record, and does not wait for that.
func tryLock(l Ledger, id string) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r, err := l.Lock(ctx, id)
	if err == nil {
		r.Close()
	}
	return err
}

// newAttachment returns an attachment as an ADD plans it.
func newAttachment(ifName string) (Attachment, error) {
	name := "of-" + ifName
	chain, err := cniconf.Parse([]byte(`{"type": "bridge", "bridge": "br0", "mtu": 1400}`),
		cniconf.Defaults{Name: name, CNIVersion: "1.0.0"})
	return Attachment{
		Attachment: plan.Attachment{
			Network:       name,
			Namespace:     "tenant",
			IfName:        ifName,
			Requests:      network.Requests{MAC: "0a:00:00:00:00:01", IPs: []string{"10.0.0.1/24"}},
			Config:        chain,
			RuntimeConfig: map[string]json.RawMessage{"mac": json.RawMessage(`"0a:00:00:00:00:01"`)},
		},
		State:   Planned,
		Args:    "IgnoreUnknown=1;K8S_POD_NAME=app",
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}, err
}

// attachments returns an attachment for each interface name.
func attachments(t testing.TB, ifNames ...string) []Attachment {
	t.Helper()
	var all []Attachment
	for _, ifName := range ifNames {
		a, err := newAttachment(ifName)
		must(t, err)
		all = append(all, a)
	}
	return all
}

var (
	testNetns = netns.ID{Path: "/run/netns/a", Inode: 7}
	testPod   = podargs.Pod{Namespace: "tenant", Name: "app"}
)

// writePlanned plans attachments with those interface names.
func writePlanned(t testing.TB, r *LockedRecord, ifNames ...string) {
	t.Helper()
	must(t, r.WritePlanned(context.Background(), testNetns, testPod, "eth0", attachments(t, ifNames...)))
}

// ifNames returns the interface names of the attachments, with a space between them.
func ifNames(all []Attachment) string {
	var names []string
	for _, a := range all {
		names = append(names, a.IfName)
	}
	return strings.Join(names, " ")
}

// recordOf returns the interface names of what the file of the container holds.
func recordOf(t testing.TB, l Ledger, id string) (attached, orphans string) {
	t.Helper()
	r, err := l.ReadRecord(id)
	must(t, err)
	return ifNames(r.Attachments), ifNames(r.Orphans)
}

// fileNames returns the names of the files in dir, with a space between them.
func fileNames(t testing.TB, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, file := range files {
		names = append(names, file.Name())
	}
	return strings.Join(names, " ")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// eventually waits until ok returns true, for ten seconds at most.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
