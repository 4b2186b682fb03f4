package install

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// jwt returns a token like those of service accounts.
func jwt(issuedAt int) string {
	payload := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iat":%d,"sub":"kactus"}`, issuedAt))
	return "header." + payload + ".signature"
}

// A runner is an installer that runs permanently.
type runner struct {
	*testNode
	*Installer
	*Leadership
}

// start starts an installer whose container has its own binary and token.
func (n *testNode) start(name, token string) *runner {
	n.Helper()
	options := n.Options
	options.Binary = filepath.Join(n.dir, name+"-binary")
	options.ServiceAccount = filepath.Join(n.dir, name+"-account")
	n.must(os.MkdirAll(options.ServiceAccount, 0o755))
	n.write(name+"-binary", name, 0o755)
	n.write(name+"-account/ca.crt", "authority", 0o644)
	n.write(name+"-account/token", token, 0o644)
	i := &Installer{Options: options}
	r := &runner{testNode: n, Installer: i, Leadership: i.Leadership()}
	n.Cleanup(r.Release)
	return r
}

// renew replaces the token, as the kubelet does.
func (r *runner) renew(token string) { r.write(filepath.Base(r.ServiceAccount)+"/token", token, 0o644) }

// pass lets the installer do what it does periodically, and checks whether it led.
func (r *runner) pass(want bool) {
	r.testNode.Helper()
	got, err := r.Acquire()
	r.must(err)
	if got {
		_, err := r.Install()
		r.must(err)
	}
	if got != want {
		r.Errorf("%s: leads is %v, want %v", filepath.Base(r.Binary), got, want)
	}
}

// expect checks whose binary and token are on the node.
func (n *testNode) expect(name, token string) {
	n.Helper()
	if got := n.read("bin/kactus"); got != name {
		n.Errorf("the node has the binary of %s, want %s", got, name)
	}
	if !strings.Contains(n.read("conf/kactus.d/kactus-kubeconfig.yaml"), token) {
		n.Errorf("the node does not have the token %s", token)
	}
}

func TestLeadership_NewerTakesOver(t *testing.T) {
	n := newTestNode(t)
	old := n.start("old", jwt(100))
	old.pass(true)
	update := n.start("update", jwt(200))
	update.pass(true)
	n.expect("update", jwt(200))
	for range 3 {
		old.pass(false)
		update.pass(true)
	}
	n.expect("update", jwt(200))

	t.Run("the old one's new token changes nothing", func(*testing.T) {
		old.renew(jwt(300))
		old.pass(false)
		update.pass(true)
		n.expect("update", jwt(200))
	})
	t.Run("the newer one installs its new token", func(*testing.T) {
		update.renew(jwt(400))
		update.pass(true)
		old.pass(false)
		n.expect("update", jwt(400))
	})
	t.Run("the old one's restart changes nothing", func(*testing.T) {
		old.Release()
		restarted := n.start("old", jwt(300))
		restarted.pass(false)
		update.pass(true)
		n.expect("update", jwt(400))
		old = restarted
	})
	t.Run("the newer one ends", func(*testing.T) {
		update.Release() // the kernel does so for a process that is killed
		old.pass(true)
		n.expect("old", jwt(300))
		old.pass(true)
	})
}

func TestLeadership_OlderWaits(t *testing.T) {
	n := newTestNode(t)
	newer, older := n.start("newer", jwt(200)), n.start("older", jwt(100))
	newer.pass(true)
	for range 2 {
		older.pass(false)
		newer.pass(true)
	}
	n.expect("newer", jwt(200))
	newer.Release()
	older.pass(true)
	n.expect("older", jwt(100))
}

// The leader hangs, so that the newer installer does not get the lock.
func TestLeadership_NewerLeadsWithoutTheLock(t *testing.T) {
	n := newTestNode(t)
	n.start("hung", jwt(100)).pass(true)
	newer := n.start("newer", jwt(200))
	newer.pass(true)
	newer.renew(jwt(300))
	newer.pass(true)
	newer.pass(true)
	n.expect("newer", jwt(300))
}

func TestLeadership_EqualTokenAges(t *testing.T) {
	for name, token := range map[string]func(installer string) string{
		"issued in the same second": func(string) string { return jwt(100) },
		"not a JWT":                 func(installer string) string { return installer + "-token" },
		"no iat":                    func(string) string { return "header.e30.signature" },
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t)
			one, two := n.start("one", token("one")), n.start("two", token("two"))
			one.pass(true)
			for range 2 {
				two.pass(false)
				one.pass(true)
			}
			one.Release()
			two.pass(true)
			one.pass(false)
			n.expect("two", token("two"))
		})
	}
}

func TestLeadership_OneOfMany(t *testing.T) {
	n := newTestNode(t)
	leads := make([]bool, 20)
	installers := make([]*runner, len(leads))
	for i := range installers {
		installers[i] = n.start(fmt.Sprint("installer-", i), jwt(100))
	}
	var all sync.WaitGroup
	for i, r := range installers {
		all.Go(func() {
			var err error
			if leads[i], err = r.Acquire(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	count := 0
	for _, l := range leads {
		if l {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d of %d lead, want 1", count, len(leads))
	}
}

func TestLeadership_AfterUninstall(t *testing.T) {
	n := newTestNode(t)
	old, update := n.start("old", jwt(100)), n.start("update", jwt(200))
	update.pass(true)
	old.pass(false)
	uninstall := func() {
		t.Helper()
		_, err := n.Uninstall()
		n.must(err)
		if _, err := os.Stat(n.ConfDir + "/kactus.d"); err == nil {
			t.Error("the installers' own directory remains")
		}
	}

	uninstall()
	update.pass(true) // installs again
	old.pass(false)
	n.expect("update", jwt(200))

	uninstall()
	old.pass(true) // finds the removed lock first
	update.pass(true)
	old.pass(false)
	update.pass(true)
	n.expect("update", jwt(200))

	n.must(os.Remove(n.ConfDir + "/kactus.d/" + lockFile))
	old.pass(false)
	update.pass(true)
	old.pass(false)
	n.expect("update", jwt(200))
}

// numbered behaves like an installer of an earlier version, which has a numbered lock file of its
// own and leads while no higher number is locked.
type numbered struct {
	*runner
	number int
	file   *os.File
}

func (n *testNode) startNumbered(name, token string) *numbered {
	n.Helper()
	e := &numbered{runner: n.start(name, token)}
	n.must(os.MkdirAll(n.ConfDir+"/kactus.d", 0o700))
	for _, number := range e.numbers() {
		e.number = max(e.number, number)
	}
	e.number++
	file, err := os.OpenFile(e.lockPath(e.number), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	n.must(err)
	n.must(unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	e.file = file
	n.Cleanup(func() { _ = file.Close() })
	return e
}

func (e *numbered) lockPath(number int) string {
	return fmt.Sprintf("%s/kactus.d/installer-%d.lock", e.ConfDir, number)
}

func (e *numbered) numbers() []int {
	e.testNode.Helper()
	paths, err := filepath.Glob(e.ConfDir + "/kactus.d/installer-*.lock")
	e.must(err)
	numbers := make([]int, len(paths))
	for i, path := range paths {
		_, err := fmt.Sscanf(filepath.Base(path), "installer-%d.lock", &numbers[i])
		e.must(err)
	}
	return numbers
}

func (e *numbered) pass(want bool) {
	e.testNode.Helper()
	leads := true
	for _, number := range e.numbers() {
		if number > e.number && e.locked(number) {
			leads = false
		}
	}
	if leads {
		_, err := e.Install()
		e.must(err)
	}
	if leads != want {
		e.Errorf("the earlier version: leads is %v, want %v", leads, want)
	}
}

// locked reports whether a lock file is locked, and removes it if not.
func (e *numbered) locked(number int) bool {
	file, err := os.OpenFile(e.lockPath(number), os.O_RDWR, 0)
	e.must(err)
	defer file.Close()
	if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return true
	}
	e.must(os.Remove(e.lockPath(number)))
	return false
}

func (e *numbered) end() {
	e.must(os.Remove(e.lockPath(e.number)))
	e.must(e.file.Close())
}

func TestLeadership_UpdateFromNumberedLocks(t *testing.T) {
	n := newTestNode(t)
	earlier := n.startNumbered("earlier", jwt(100))
	earlier.pass(true)
	update := n.start("update", jwt(200))
	for range 2 {
		update.pass(true)
		earlier.pass(false)
	}
	n.expect("update", jwt(200))

	update.Release() // the update is taken back
	earlier.pass(true)
	n.expect("earlier", jwt(100))
	update = n.start("update", jwt(300))
	update.pass(true)
	earlier.pass(false)
	earlier.end()
	update.pass(true)
	n.expect("update", jwt(300))
}

func TestLeadership_RollbackToNumberedLocks(t *testing.T) {
	n := newTestNode(t)
	current := n.start("current", jwt(100))
	current.pass(true)
	earlier := n.startNumbered("earlier", jwt(200))
	for range 4 {
		earlier.pass(true)
		current.pass(false)
	}
	n.expect("earlier", jwt(200))

	t.Run("which fails", func(*testing.T) {
		n.must(earlier.file.Close()) // the kernel does so for a process that is killed
		current.pass(true)
		n.expect("current", jwt(100))
		earlier = n.startNumbered("earlier", jwt(300))
		earlier.pass(true)
		current.pass(false)
	})
	t.Run("and an update again", func(*testing.T) {
		current.Release()
		update := n.start("update", jwt(400))
		update.pass(false)
		earlier.pass(true)
		earlier.end()
		update.pass(true)
		n.expect("update", jwt(400))
	})
	t.Run("uninstalling removes all lock files", func(t *testing.T) {
		_, err := n.Uninstall()
		n.must(err)
		if _, err := os.Stat(n.ConfDir + "/kactus.d"); err == nil {
			t.Error("the installers' own directory remains")
		}
	})
}

func TestIssuedAt(t *testing.T) {
	encode := base64.RawURLEncoding.EncodeToString
	for token, want := range map[string]int64{
		jwt(1753000000): 1753000000,
		"h." + encode([]byte(`{"iat": 1753000000.5}`)) + ".s": 1753000000,
		"h." + encode([]byte(`{"iat": "soon"}`)) + ".s":       0,
		"h." + encode([]byte(`{}`)) + ".s":                    0,
		"h." + encode([]byte(`{"iat": 7}`)):                   0,
		"h.!.s":                                               0,
		"opaque":                                              0,
		"":                                                    0,
	} {
		if got := issuedAt(token); got != want {
			t.Errorf("%q: got %d, want %d", token, got, want)
		}
	}
}
