package e2e

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// bridgelessPlugin stands for the main plugins that accept an IPAM result without an address.
const bridgelessPlugin = `PATH=$CNI_PATH:$PATH
inside() { nsenter "--net=$CNI_NETNS" "$@"; }
case $CNI_COMMAND in
ADD)
	null >/dev/null || exit 1
	inside ip link add "$CNI_IFNAME" type bridge && inside ip link set "$CNI_IFNAME" up || exit 1
	echo "{\"cniVersion\": \"1.0.0\", \"interfaces\": [{\"name\": \"$CNI_IFNAME\", \"sandbox\": \"$CNI_NETNS\"}]}" ;;
DEL)
	null && inside ip link del "$CNI_IFNAME" ;;
esac
`

func TestAdd_NullIPAM(t *testing.T) {
	t.Parallel()
	t.Run("leaves the addresses to the application", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		tn.AddScript(t, "plain", bridgelessPlugin)
		tn.CreateNetwork(t, "green", `{"type": "plain", "ipam": {"type": "null"}}`)
		p := tn.NewPod(t, `[{"name":"green"}]`)
		p.Add(t)
		p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName)
		if got := p.Addrs(t, kactustest.GreenIfName); len(got) != 0 {
			t.Errorf("%s has the addresses %q", kactustest.GreenIfName, got)
		}
		p.Del(t)
		p.ExpectGone(t)
	})
	t.Run("is refused by macvlan and rolled back", func(t *testing.T) {
		tn := kactustest.NewTenant(t)
		tn.CreateNetwork(t, "green", `{"type": "macvlan", "master": "`+node.Uplink+`", "ipam": {"type": "null"}}`)
		p := tn.NewPod(t, `[{"name":"green"}]`)
		kactustest.ExpectError(t, p.AddError(t), 102, "green", "missing IP config")
		p.ExpectGone(t)
	})
}
