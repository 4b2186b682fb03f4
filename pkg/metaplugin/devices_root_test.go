//go:build root

package metaplugin

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podresources"
)

const nicResource = "kaloom.com/nic"

// newDeviceNode returns a node whose networks green and blue need a device each of the resource,
// for a Pod that has two, and white none. Their plugin notes what it is told, and makes no
// interface.
func newDeviceNode(t *testing.T) (*testNode, Request) {
	t.Helper()
	n := newTestNode(t)
	n.script("nic", `cat >$CNI_COMMAND.$CNI_IFNAME; `+emptyResult)
	for _, name := range []string{"green", "blue", "white"} {
		n.api.networks["tenant/"+name] = `{"type": "nic", "capabilities": {"deviceID": true}}`
	}
	n.api.resources["tenant/green"], n.api.resources["tenant/blue"] = nicResource, nicResource
	n.kubelet.give(nicResource, "nic0", "nic1")
	return n, n.request(n.conf(n.ptpConf(1)))
}

// told returns the devices that the plugin nic was told of.
func (n *testNode) told(operation, ifName string) [3]string {
	n.Helper()
	var conf struct {
		DeviceID      string `json:"deviceID"`
		PCIBusID      string `json:"pciBusID"`
		RuntimeConfig struct {
			DeviceID string `json:"deviceID"`
		} `json:"runtimeConfig"`
	}
	must(n, json.Unmarshal([]byte(n.read(operation+"."+ifName)), &conf))
	return [3]string{conf.DeviceID, conf.PCIBusID, conf.RuntimeConfig.DeviceID}
}

func (n *testNode) expectTold(operation, ifName, id string) {
	n.Helper()
	expectEqual(n.T, operation+" of "+ifName, n.told(operation, ifName), [3]string{id, id, id})
}

func TestAdd_GivesEachNetworkADeviceOfThePod(t *testing.T) {
	n, req := newDeviceNode(t)
	n.selectNetworks("blue", "white", "green")
	n.add(req)
	n.expectTold("ADD", blueIf, "nic0")
	n.expectTold("ADD", network.DeviceName("white"), "")
	n.expectTold("ADD", greenIf, "nic1")
	expectEqual(t, "times that the kubelet was asked", n.kubelet.asked, 1)
	a, _ := n.record().Find(greenIf)
	expectEqual(t, "recorded device", a.ResourceName+" "+a.Device, nicResource+" nic1")

	n.kubelet.err = errors.New("stopped")
	n.del(req)
	n.expectTold("DEL", greenIf, "nic1")
	n.expectNothingLeft()
}

func TestAdd_AsksTheKubeletAnew(t *testing.T) {
	n, req := newDeviceNode(t)
	n.selectNetworks("green")
	n.add(req)
	n.del(req)
	n.kubelet.give(nicResource, "nic7")
	n.add(req)
	n.expectTold("ADD", greenIf, "nic7")
}

func TestAdd_WithoutDevicesAsksNoKubelet(t *testing.T) {
	n, req := newDeviceNode(t)
	n.kubelet.err = errors.New("stopped")
	n.selectNetworks("white")
	n.add(req)
	expectEqual(t, "times that the kubelet was asked", n.kubelet.asked, 0)
}

func TestAdd_DeviceErrors(t *testing.T) {
	t.Run("no kubelet", func(t *testing.T) {
		n, req := newDeviceNode(t)
		n.selectNetworks("green")
		n.kubelet.err = &podresources.Error{
			Socket: "/kubelet.sock", Namespace: "tenant", Name: "app", Cause: errors.New("connection refused")}
		n.addFails(req, types.ErrTryAgainLater,
			"ask the kubelet at /kubelet.sock for the devices of the Pod tenant/app: connection refused: "+
				"is the kubelet running, and is that its socket (podResourcesSocket in the netconf)?")
		n.expectNothingLeft()
	})
	t.Run("none left", func(t *testing.T) {
		n, req := newDeviceNode(t)
		n.selectNetworks("green", "blue")
		n.kubelet.give(nicResource, "nic0")
		n.addFails(req, types.ErrInvalidNetworkConfig,
			"network tenant/blue: no device of the resource kaloom.com/nic is left: "+
				"the Pod has 1, and its networks need 2")
		n.expectNothingLeft()
	})
	t.Run("a PCI device that is not there", func(t *testing.T) {
		n, req := newDeviceNode(t)
		n.selectNetworks("green")
		n.kubelet.give(nicResource, "0000:ff:1f.7")
		n.api.networks["tenant/green"] = `{"type": "host-device"}`
		n.addFails(req, CodeDelegate, "network green", "host-device", "0000:ff:1f.7: no such file or directory")
		n.expectInterfaces() // its DEL fails, too, and is left in the ledger
	})
}

func TestHotAdd_TakesADeviceThatIsLeft(t *testing.T) {
	n, req := newDeviceNode(t)
	n.selectNetworks("green")
	n.add(req)
	n.add(n.hotRequest(req.Conf, "blue"))
	n.expectTold("ADD", blueIf, "nic1")

	n.api.networks["tenant/red"], n.api.resources["tenant/red"] = `{"type": "nic"}`, nicResource
	red := n.hotRequest(req.Conf, "red")
	n.addFails(red, types.ErrInvalidNetworkConfig,
		"network tenant/red: no device of the resource kaloom.com/nic is left: the Pod has 2, and its networks need 3")
	n.kubelet.err = errors.New("stopped")
	n.del(n.hotRequest(req.Conf, "green"))
	n.expectTold("DEL", greenIf, "nic0")
	n.kubelet.err = nil
	n.add(red)
	expectEqual(t, "device of red", n.told("ADD", red.IfName), [3]string{"nic0", "nic0", ""})
	n.del(req)
	n.expectNothingLeft()
}

func TestAdd_DeviceThatThePodAsksFor(t *testing.T) {
	n, req := newDeviceNode(t)
	n.api.definitions["tenant/nad"] = n.api.networks["tenant/green"]
	n.api.resources["tenant/nad"] = nicResource
	n.api.npwg = `[{"name": "nad"}, {"name": "nad", "deviceID": "nic0"}]`
	n.add(req)
	n.expectTold("ADD", "net1", "nic1")
	n.expectTold("ADD", "net2", "nic0")
	n.del(req)
	n.expectNothingLeft()

	n.api.npwg = ""
	n.add(req)
	n.addFails(n.hotSelection(req.Conf, `{"name": "green", "deviceID": "nic7"}`), types.ErrInvalidNetworkConfig,
		`network tenant/green: deviceID: "nic7" is none of the devices of kaloom.com/nic `+
			`that the kubelet has given to the Pod: nic0, nic1`)
	n.addFails(n.hotSelection(req.Conf, `{"name": "white", "deviceID": "nic0"}`), types.ErrInvalidNetworkConfig,
		"network tenant/white: deviceID: the network is not one of devices")
	n.add(n.hotSelection(req.Conf, `{"name": "green", "deviceID": "nic1"}`))
	n.expectTold("ADD", greenIf, "nic1")
	n.add(n.hotSelection(req.Conf, `{"name": "green", "deviceID": "nic1"}`)) // attached already
	n.addFails(n.hotSelection(req.Conf, `{"name": "green", "deviceID": "nic0"}`), CodeAttached, `"deviceID":"nic1"`)
}

func TestAdd_DevicesOfResourceClaims(t *testing.T) {
	n, req := newDeviceNode(t)
	n.selectNetworks("green", "blue")
	n.kubelet.devices = podresources.Devices{Claimed: []podresources.ClaimedDevice{
		{Driver: "nic.kaloom.com", Pool: "pool", Device: "vf1"},
		{Driver: "gpu.kaloom.com", Pool: "pool", Device: "vf0"},
		{Driver: "nic.kaloom.com", Pool: "other", Device: "vf0"},
		{Driver: "nic.kaloom.com", Pool: "pool", Device: "vf0"},
	}}
	n.api.pooled = map[kube.PooledDevice]kube.NetworkDevice{
		{Pool: "pool", Device: "vf0"}: {Resource: nicResource, ID: "0000:03:02.0"},
		{Pool: "pool", Device: "vf1"}: {Resource: nicResource, ID: "0000:03:02.1"},
		{Pool: "pool", Device: "vf2"}: {Resource: nicResource, ID: "of another Pod"},
	}
	n.add(req)
	n.expectTold("ADD", greenIf, "0000:03:02.0")
	n.expectTold("ADD", blueIf, "0000:03:02.1")
}
