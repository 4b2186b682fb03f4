package e2e

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// plain stands for the main plugins that take an IPAM result without an address.
const plain = `PATH=$CNI_PATH:$PATH
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

func TestNullIPAM(t *testing.T) {
	t.Parallel()
	t.Run("leaves a device to the application's addresses", func(t *testing.T) {
		tn := newTenant(t)
		tn.script(t, "plain", plain)
		tn.network(t, "green", `{"type": "plain", "ipam": {"type": "null"}}`)
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		p.expectDevices(t, "eth0", greenDevice)
		if got := p.addrs(t, greenDevice); len(got) != 0 {
			t.Errorf("%s has the addresses %q", greenDevice, got)
		}
		p.del(t)
		p.expectGone(t)
	})
	t.Run("is refused by macvlan, and nothing is left", func(t *testing.T) {
		tn := newTenant(t)
		tn.network(t, "green", `{"type": "macvlan", "master": "`+node.Uplink+`", "ipam": {"type": "null"}}`)
		p := tn.pod(t, `[{"name":"green"}]`)
		expectError(t, p.addError(t), 102, "green", "missing IP config")
		p.expectGone(t)
	})
}
