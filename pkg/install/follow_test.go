package install

import (
	"strings"
	"testing"
	"time"
)

func TestInstall_FollowsTheDefaultNetwork(t *testing.T) {
	for name, tt := range map[string]struct {
		change     func(n *testNode)
		name, file string
	}{
		"changed in place": {func(n *testNode) {
			n.write("conf/10-flannel.conflist", strings.Replace(flannel, "cbr0", "cbr1", 1), 0o600)
		}, "cbr1", "10-flannel.conflist"},
		"turned into a list": {func(n *testNode) {
			n.remove("10-flannel.conflist")
			n.write("conf/10-plain.conflist", `{"name": "cbr0", "plugins": [`+ptp+`]}`, 0o600)
		}, "cbr0", "10-plain.conflist"},
		"renamed": {func(n *testNode) { n.rename("10-flannel.conflist", "60-flannel.conflist") },
			"cbr0", "60-flannel.conflist"},
		"another one comes first": {func(n *testNode) { n.write("conf/05-calico.conflist", calico, 0o600) },
			"k8s-pod-network", "05-calico.conflist"},
		"another one comes later": {func(n *testNode) { n.write("conf/15-calico.conflist", calico, 0o600) },
			"cbr0", "10-flannel.conflist"},
		"another one takes its place": {func(n *testNode) {
			n.remove("10-flannel.conflist")
			n.writeLater("15-calico.conflist", calico)
		}, "k8s-pod-network", "15-calico.conflist"},
		"renamed by Cilium, which takes its place": {func(n *testNode) {
			n.rename("10-flannel.conflist", "10-flannel.conflist.cilium_bak")
			n.write("conf/05-cilium.conflist", cilium, 0o600)
		}, "cilium", "05-cilium.conflist"},
		"renamed by Cilium, which is not there yet": {func(n *testNode) {
			n.rename("10-flannel.conflist", "10-flannel.conflist.cilium_bak")
		}, "cbr0", "10-flannel.conflist"},
		"gone for a while": {func(n *testNode) { n.remove("10-flannel.conflist") }, "cbr0", "10-flannel.conflist"},
		"cut short for a while": {func(n *testNode) { n.write("conf/10-flannel.conflist", `{"name": "cb`, 0o600) },
			"cbr0", "10-flannel.conflist"},
		"now with Multus's before it": {func(n *testNode) {
			n.write("conf/00-multus.conf", `{"name": "m", "type": "multus-shim", "clusterNetwork": "/x"}`, 0o600)
		}, "cbr0", "10-flannel.conflist"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newDefaultNode(t, map[string]string{"10-flannel.conflist": flannel, "87-podman.conf": ptp})
			n.install()
			tt.change(n)
			n.install()
			n.wantMaster(tt.name, tt.file)
			n.same("changes later", n.install(), nil)
		})
	}
	t.Run("its version", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"10-flannel.conflist": flannel})
		n.install()
		n.write("conf/10-flannel.conflist", strings.Replace(flannel, "0.3.1", "1.0.0", 1), 0o600)
		n.install()
		if got := n.installedMaster().Chain.CNIVersion; got != "1.0.0" {
			n.Errorf("got %s", got)
		}
	})
	t.Run("not to a plugin that is missing", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"10-flannel.conflist": flannel})
		n.install()
		n.write("conf/05-weave.conf", `{"name": "weave", "type": "weave-net"}`, 0o600)
		n.fails("weave-net")
		n.wantMaster("cbr0", "10-flannel.conflist")
	})
}

// While a default network has gone, Pods must not get a network that was only the second choice.
func TestInstall_ADefaultNetworkThatHasGone(t *testing.T) {
	n := newDefaultNode(t, map[string]string{"10-flannel.conflist": flannel, "87-podman.conf": ptp})
	n.install()
	n.remove("10-flannel.conflist")
	n.same("changes", n.install(), nil)
	if notice := n.Notice(); notice == nil || !strings.Contains(notice.Error(), "plain (ptp) of") {
		t.Errorf("got the notice %v", notice)
	}
	n.pass(patience - time.Second)
	n.same("changes a little later", n.install(), nil)
	t.Run("and comes back", func(*testing.T) {
		n.write("conf/10-flannel.conflist", flannel, 0o600)
		n.same("changes", n.install(), nil)
		n.pass(time.Hour)
		n.remove("10-flannel.conflist")
		n.same("changes after it has gone again", n.install(), nil)
		n.wantMaster("cbr0", "10-flannel.conflist")
	})
	t.Run("for good", func(*testing.T) {
		n.pass(patience)
		n.install()
		n.wantMaster("plain", "87-podman.conf")
		if n.Notice() != nil {
			n.Errorf("got %v", n.Notice())
		}
	})
	t.Run("and another installer begins", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"10-flannel.conflist": flannel})
		n.install()
		n.remove("10-flannel.conflist")
		later := &Installer{Options: n.Options, clock: n.clock}
		_, err := later.Install()
		n.must(err)
		n.wantMaster("cbr0", "10-flannel.conflist")
		if notice := later.Notice(); notice == nil || !strings.Contains(notice.Error(), "kept as it was") {
			n.Errorf("got the notice %v", notice)
		}
	})
}
