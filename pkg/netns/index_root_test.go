//go:build root

package netns

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

func TestIndex_Gone(t *testing.T) {
	ns := netnstest.New(t)
	id := identify(t, ns.Path)
	expect := func(what string, id ID, want bool) {
		t.Helper()
		index, err := Scan()
		must(t, err)
		if got := index.Gone(id); got != want {
			t.Errorf("%s: gone is %v", what, got)
		}
	}
	expect("at its path", id, false)

	rebooted := id
	rebooted.BootID = anotherBootID
	expect("recorded before a reboot", rebooted, true)
	expect("nothing is recorded of it", ID{}, false)

	if id.Cookie == 0 {
		t.Error("this kernel has no cookies of network namespaces")
	}
	before := id
	before.Cookie--
	expect("another namespace has its inode and its path", before, true)
	before.Path = "/run/netns/there-is-none"
	expect("another namespace has its inode", before, true)
	before.Cookie = 0
	expect("a namespace has its inode, and its cookie is unknown", before, false)

	pod := exec.Command("nsenter", "--net="+ns.Path, "cat")
	stdin, err := pod.StdinPipe()
	must(t, err)
	pod.Stdout, err = os.Create(os.DevNull)
	must(t, err)
	must(t, pod.Start())
	awaitIn(t, pod.Process.Pid, id)
	ns.Remove()
	expect("its path is gone, but a process is in it", id, false)

	must(t, stdin.Close())
	_ = pod.Wait()
	mounted := netnstest.New(t)
	elsewhereMounted := identify(t, mounted.Path)
	elsewhereMounted.Path = ns.Path
	expect("its path is gone, but it is mounted on another one", elsewhereMounted, false)

	expect("its path and its processes are gone", id, true)
	elsewhere := id
	elsewhere.Mounts++
	expect("the same, recorded in another mount namespace", elsewhere, false)

	must(t, os.WriteFile(ns.Path, nil, 0o600))
	expect("a file is left in its place", id, true)
	must(t, os.Remove(ns.Path))
}

// awaitIn waits until the process is in the namespace.
func awaitIn(t *testing.T, pid int, id ID) {
	t.Helper()
	link := "/proc/" + strconv.Itoa(pid) + "/ns/net"
	for t.Context().Err() == nil {
		if now, err := Identify(link); err == nil && now.Same(id) {
			return
		}
	}
}
