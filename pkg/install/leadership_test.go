package install

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A runner is an installer that runs permanently.
type runner struct {
	*testNode
	*Installer
	*Leadership
}

// start starts the installer of a Pod that was created at that time. Its container has its own
// binary, and the Pod's token.
func (n *testNode) start(pod string, created int, token string) *runner {
	n.Helper()
	n.api.set(func() { n.api.pods[pod] = int64(created) })
	options := n.Options
	options.Binary = filepath.Join(n.dir, pod+"-binary")
	options.ServiceAccount = filepath.Join(n.dir, pod+"-account")
	n.must(os.MkdirAll(options.ServiceAccount, 0o755))
	n.write(pod+"-binary", pod, 0o755)
	n.write(pod+"-account/ca.crt", n.api.authority(), 0o644)
	n.write(pod+"-account/token", token, 0o644)
	i := &Installer{Options: options, clock: n.api.time}
	r := &runner{testNode: n, Installer: i, Leadership: i.Leadership()}
	n.Cleanup(r.Release)
	return r
}

// pass lets the installer do what it does periodically, and checks whether it led.
func (r *runner) pass(want bool) {
	r.testNode.Helper()
	_, _ = r.Refresh(r.Context())
	got, err := r.Acquire()
	r.must(err)
	do := r.InstallToken
	if got {
		do = r.Install
	}
	_, err = do()
	r.must(err)
	if got != want {
		r.Errorf("%s: leads is %v, want %v", filepath.Base(r.Binary), got, want)
	}
}

// expect checks whose binary is on the node.
func (n *testNode) expect(pod string) {
	n.Helper()
	if got := n.read("bin/kactus"); got != pod {
		n.Errorf("the node has the binary of %s, want %s", got, pod)
	}
}

func TestLeadership_NewerPodTakesOver(t *testing.T) {
	n := newTestNode(t)
	old := n.start("old", 1000, jwt("old", 1000))
	old.pass(true)
	update := n.start("update", 2000, jwt("update", 2000))
	update.pass(true)
	n.expect("update")
	for range 3 {
		old.pass(false)
		update.pass(true)
	}
	n.expect("update")

	t.Run("a container of the old Pod that starts again waits", func(*testing.T) {
		old.Release()
		old = n.start("old", 1000, jwt("old", 3000)) // with a renewed token
		old.pass(false)
		update.pass(true)
		old.pass(false)
		n.expect("update")
	})
	t.Run("and so does one of the new Pod, for itself", func(*testing.T) {
		update.Release()
		old.pass(true)
		update = n.start("update", 2000, jwt("update", 2500))
		update.pass(true)
		old.pass(false)
		n.expect("update")
	})
	t.Run("the newer one ends", func(*testing.T) {
		update.Release() // the kernel does so for a process that is killed
		old.pass(true)
		n.expect("old")
	})
}

func TestLeadership_OlderWaits(t *testing.T) {
	n := newTestNode(t)
	newer, older := n.start("newer", 2000, jwt("newer", 2000)), n.start("older", 1000, jwt("older", 1000))
	newer.pass(true)
	for range 2 {
		older.pass(false)
		newer.pass(true)
	}
	n.expect("newer")
	newer.Release()
	older.pass(true)
	n.expect("older")
}

// An installer that cannot tell its age does not take over from one that could.
func TestLeadership_UnknownAge(t *testing.T) {
	n := newTestNode(t)
	old := n.start("old", 1000, jwt("old", 1000))
	old.pass(true)
	n.api.set(func() { n.api.down = true })
	update := n.start("update", 2000, jwt("update", 2000))
	update.pass(false)
	if _, err := update.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "created") {
		t.Errorf("got %v, want an error, so that the Pod is not ready", err)
	}
	old.pass(true)
	n.expect("old")
	t.Run("it leads when it is alone", func(*testing.T) {
		old.Release()
		update.pass(true)
		n.expect("update")
	})
	t.Run("and takes its place as soon as it can", func(*testing.T) {
		old.pass(true) // as its age is known, it comes first
		update.pass(false)
		n.api.set(func() { n.api.down = false })
		n.api.pass(contactInterval)
		update.pass(true)
		old.pass(false)
	})
}

func TestLeadership_EqualAges(t *testing.T) {
	for name, token := range map[string]func(pod string) string{
		"Pods of the same second":                func(pod string) string { return jwt(pod, 100) },
		"no Pod, tokens of the same second":      func(string) string { return jwt("", 100) },
		"not a JWT":                              func(pod string) string { return pod + "-token" },
		"no claims":                              func(string) string { return "header.e30.signature" },
		"a subject that is no service account's": func(string) string { return encodeJWT(map[string]any{"sub": "x"}) },
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t)
			one, two := n.start("one", 1000, token("one")), n.start("two", 1000, token("two"))
			one.pass(true)
			for range 2 {
				two.pass(false)
				one.pass(true)
			}
			one.Release()
			two.pass(true)
			one.pass(false)
			n.expect("two")
		})
	}
}

func TestLeadership_OneOfMany(t *testing.T) {
	n := newTestNode(t)
	leads := make([]bool, 20)
	installers := make([]*runner, len(leads))
	for i := range installers {
		installers[i] = n.start(fmt.Sprint("installer-", i), 1000, jwt("", 100))
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
	old, update := n.start("old", 1000, jwt("old", 1000)), n.start("update", 2000, jwt("update", 2000))
	update.pass(true)
	old.pass(false)
	_, err := n.Uninstall()
	n.must(err)
	if _, err := os.Stat(n.ConfDir + "/kactus.d"); err == nil {
		t.Error("the installers' own directory remains")
	}
	update.pass(true) // installs again
	old.pass(false)
	update.pass(true)
	n.expect("update")
}

func TestLeadership_RemovesLocksOfThePast(t *testing.T) {
	n := newTestNode(t)
	n.start("first", 1000, jwt("first", 1000)).pass(true)
	n.start("second", 2000, jwt("second", 2000)).pass(true)
	third := n.start("third", 3000, jwt("third", 3000))
	n.must(os.WriteFile(n.ConfDir+"/kactus.d/installer-500.lock", nil, 0o600))
	n.must(os.WriteFile(n.ConfDir+"/kactus.d/installer-5000.lock", nil, 0o600))
	third.pass(true)
	locks, err := filepath.Glob(n.ConfDir + "/kactus.d/installer-*.lock")
	n.must(err)
	n.same("locks", trimmed(locks, n.ConfDir+"/kactus.d/"),
		[]string{"installer-1000.lock", "installer-2000.lock", "installer-3000.lock"})
}

func trimmed(paths []string, prefix string) []string {
	for i := range paths {
		paths[i] = strings.TrimPrefix(paths[i], prefix)
	}
	return paths
}

// Installers of earlier versions lock files with numbers of their own, and give way to those who
// lock a number like a Pod's age.
func TestLeadership_EarlierVersions(t *testing.T) {
	n := newTestNode(t)
	n.must(os.MkdirAll(n.ConfDir+"/kactus.d", 0o700))
	for _, number := range []int{1, 2, 999999999} {
		path := fmt.Sprintf("%s/kactus.d/installer-%d.lock", n.ConfDir, number)
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		n.must(err)
		defer file.Close()
		n.must(unix.Flock(int(file.Fd()), unix.LOCK_EX))
	}
	n.start("update", 1800000000, jwt("update", 1800000000)).pass(true)
	if paths, _ := filepath.Glob(n.ConfDir + "/kactus.d/installer-1?????????.lock"); len(paths) != 1 {
		t.Errorf("no lock that the last version gives way to: %v", paths)
	}
	t.Run("one that started later, by a rollback", func(*testing.T) {
		file, err := os.OpenFile(n.ConfDir+"/kactus.d/installer-1800000001.lock", os.O_RDWR|os.O_CREATE, 0o600)
		n.must(err)
		defer file.Close()
		n.must(unix.Flock(int(file.Fd()), unix.LOCK_EX))
		n.start("other", 1800000000, jwt("other", 1800000000)).pass(false)
	})
}
