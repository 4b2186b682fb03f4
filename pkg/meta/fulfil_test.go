package meta

import (
	"fmt"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

const wanted = "0a:00:00:00:00:01"

func TestTheMACAddressIsTheOneAskedForWhetherTheDelegateCaresOrNot(t *testing.T) {
	for name, config := range map[string]func(n *node) string{
		"by capability":     func(n *node) string { return strings.Replace(n.bridged(2), "{", `{"capabilities": {"mac": true}, `, 1) },
		"by CNI_ARGS":       func(n *node) string { return n.bridged(2) },
		"it does not, ptp":  func(n *node) string { return n.ptp(2) },
		"its older version": func(n *node) string { return strings.Replace(n.ptp(2), "{", `{"cniVersion": "0.3.1", `, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.api.networks["tenant/green"] = config(n)
			req := n.request(n.conf(n.ptp(1)))
			n.add(req)
			result := n.add(n.hot(req.Conf, greenDevice, podargs.Hot{Network: "green", MAC: wanted}))
			same(t, "MAC", n.netns.MAC(t, greenDevice), wanted)
			same(t, "MAC in the result", macOf(t, result, greenDevice), wanted)
			same(t, "address", n.netns.IPv4(t, greenDevice), "["+addressOf(t, result)+"]")
			n.del(req)
			n.nothingLeft()
		})
	}
}

func TestAMACAddressFromTheAnnotationIsThatNetworksAlone(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green", "ifMac": "0A-00-00-00-00-01"}, {"name": "blue"}]`
	n.api.networks["tenant/green"], n.api.networks["tenant/blue"] = n.ptp(2), n.ptp(3)
	n.add(n.request(n.conf(n.ptp(1))))
	same(t, "MAC of green", n.netns.MAC(t, greenDevice), wanted)
	for _, device := range []string{"eth0", blueDevice} {
		if n.netns.MAC(t, device) == wanted {
			t.Errorf("%s has the address of green", device)
		}
	}
}

func TestADeviceThatCannotHaveItsMACAddressIsRolledBack(t *testing.T) {
	n := newNode(t)
	n.plugin("nothing", `echo '{"cniVersion":"1.0.0"}'`) // makes no device at all
	n.api.annotation = `[{"name": "green", "ifMac": "` + wanted + `"}]`
	n.api.networks["tenant/green"] = `{"type": "nothing"}`
	n.addFails(n.request(n.conf(n.ptp(1))), CodeUnfulfilled, "network green", "MAC address", "there is no such device")
	n.nothingLeft()
}

func TestAddressesThatAreAskedForAreGiven(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green", "ips": ["10.7.0.5/24", "fd00::5/64"]}]`
	n.api.networks["tenant/green"] = fmt.Sprintf(`{"type": "bridge", "bridge": %q, "capabilities": {"ips": true}, "ipam": {"type": "static"}}`, n.bridge)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	same(t, "addresses", n.netns.IPv4(t, greenDevice), "[10.7.0.5/24]")
	n.del(req)
	n.nothingLeft()
}

func TestAddressesThatAreNotGivenAreAnError(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green", "ips": ["10.7.0.5/24"]}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	n.addFails(n.request(n.conf(n.ptp(1))), CodeUnfulfilled, "network green", "10.7.0.5/24", `"ips"`)
	n.nothingLeft()
}

func macOf(t *testing.T, result types.Result, device string) string {
	t.Helper()
	current, err := types100.NewResultFromResult(result)
	must(t, err)
	for _, i := range current.Interfaces {
		if i.Name == device && i.Sandbox != "" {
			return i.Mac
		}
	}
	return ""
}
