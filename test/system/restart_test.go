package system

import (
	"fmt"
	"strings"
	"testing"
)

func (s *site) containerdRestart(t *testing.T) {
	s.networks(t)
	node := s.Nodes()[0]
	s.apply(t, podManifest("before", node.Name(), greenAndData))
	s.ready(t, "pod/before")
	uid := s.uid(t, "before")
	if err := node.StopContainerd(); err != nil {
		t.Fatal(err)
	}
	s.apply(t, podManifest("meanwhile", node.Name(), greenAndData))
	if err := node.StartContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.ready(t, "pod/before", "pod/meanwhile")
	if s.uid(t, "before") != uid {
		t.Error("the Pod is another one")
	}
	await(t, "the Pod's devices can be seen", func() (string, bool) {
		out, err := s.Kubectl(t.Context(), "exec", "before", "--", "ip", "link").CombinedOutput()
		return string(out), err == nil && strings.Contains(string(out), green) && strings.Contains(string(out), data)
	})
	s.expectDevices(t, "meanwhile", "eth0", green, data)
}

func (s *site) kubeletRestart(t *testing.T) {
	s.networks(t)
	node := s.Nodes()[1]
	s.apply(t, podManifest("stays", node.Name(), greenAndData), podManifest("goes", node.Name(), greenAndData))
	s.ready(t, "pod/stays", "pod/goes")
	if err := node.KillKubelet(); err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "delete", "pod", "goes", "--grace-period=0", "--force")
	if err := node.StartKubelet(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the ledger holds the Pod that stays alone", func() (string, bool) {
		held := records(t, node)
		return fmt.Sprint(held), len(held) == 1
	})
	s.ready(t, "pod/stays")
	s.expectDevices(t, "stays", "eth0", green, data)
}

// reboot takes the node's processes, mounts and network away, and leaves its disk.
func (s *site) reboot(t *testing.T) {
	s.networks(t)
	node := s.Nodes()[0]
	var pods []string
	for n := range 3 {
		pod := fmt.Sprintf("survivor%d", n)
		s.apply(t, podManifest(pod, node.Name(), greenAndData))
		pods = append(pods, "pod/"+pod)
	}
	s.ready(t, pods...)
	if err := node.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		s.kubectl(t, "wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=90s", pod)
	}
	s.ready(t, pods...)
	for _, pod := range pods {
		s.expectDevices(t, pod, "eth0", green, data)
	}
	await(t, "the ledger and the leases are those of the Pods that run", func() (string, bool) {
		found := left(t, node)
		held, leases := len(records(t, node)), 0
		for _, what := range found {
			if strings.Contains(what, "/networks/cbr0/") || strings.Contains(what, "/networks/data/") {
				leases++
			}
		}
		return strings.Join(found, "\n"), held == len(pods) && leases == 2*len(pods)
	})
}
