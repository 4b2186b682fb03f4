package install

import (
	"testing"
	"time"
)

func TestInstall_NamesWhoTakesTheNetconfAway(t *testing.T) {
	t.Run("Cilium", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"05-cilium.conflist": cilium})
		n.install()
		n.rename("00-kactus.conf", "00-kactus.conf.cilium_bak")
		n.fails("Cilium renames it to", "00-kactus.conf.cilium_bak", "cni.exclusive")
		n.wantMaster("cilium", "05-cilium.conflist")
		if isThere(n.ConfDir + "/00-kactus.conf.cilium_bak") {
			n.Error("the renamed netconf is still there")
		}
		n.fails("cni.exclusive")
		n.pass(alarm + time.Second)
		n.same("changes once it has stopped", n.install(), nil)
	})
	t.Run("another program, from the second time on", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"20-ptp.conf": ptp})
		n.install()
		n.remove("00-kactus.conf")
		n.install()
		n.remove("00-kactus.conf")
		n.fails("again and again", "00-kactus.conf")
		n.wantMaster("plain", "20-ptp.conf")
	})
	t.Run("uninstalling removes what Cilium has renamed", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"20-ptp.conf": ptp})
		n.install()
		n.rename("00-kactus.conf", "00-kactus.conf.cilium_bak")
		_, err := n.Uninstall()
		n.must(err)
		if isThere(n.ConfDir + "/00-kactus.conf.cilium_bak") {
			n.Error("it is still there")
		}
	})
}
