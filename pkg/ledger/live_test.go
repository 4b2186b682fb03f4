package ledger

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

func TestANamespaceHasEndedOnlyWhereNothingHoldsIt(t *testing.T) {
	ns := netnstest.New(t)
	n := identify(t, ns.Path)
	expect := func(what string, n Netns, want bool) {
		t.Helper()
		live, err := LookAround()
		must(t, err)
		if got := live.Ended(n); got != want {
			t.Errorf("%s: ended is %v", what, got)
		}
	}
	expect("it is there", n, false)

	rebooted := n
	rebooted.BootID = "e0f6a1d2-0000-0000-0000-000000000000"
	expect("the node was started again", rebooted, true)
	expect("nothing is known of it", Netns{}, false)

	pod := exec.Command("nsenter", "--net="+ns.Path, "cat")
	stdin, err := pod.StdinPipe()
	must(t, err)
	pod.Stdout, err = os.Create(os.DevNull)
	must(t, err)
	must(t, pod.Start())
	awaitIn(t, pod.Process.Pid, n)
	ns.Remove()
	expect("its path is gone, but a process is in it", n, false)

	must(t, stdin.Close())
	_ = pod.Wait()
	n.Inode = 1 // the kernel may have given its number to another test's by now
	expect("its path and its processes are gone", n, true)
	elsewhere := n
	elsewhere.Mounts++
	expect("the same, seen from another mount namespace", elsewhere, false)

	must(t, os.WriteFile(ns.Path, nil, 0o600))
	expect("a file is left in its place", n, true)
	must(t, os.Remove(ns.Path))
}

// awaitIn waits until the process is in the namespace.
func awaitIn(t *testing.T, pid int, n Netns) {
	t.Helper()
	link := "/proc/" + strconv.Itoa(pid) + "/ns/net"
	for t.Context().Err() == nil {
		if now, err := Identify(link); err == nil && now.Same(n) {
			return
		}
	}
}
