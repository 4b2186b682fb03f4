//go:build root

package metaplugin

import (
	"context"
	"os"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

const nicInfo = `{"type":"pci","version":"1.1.0","pci":{"pci-address":"nic0"}}`

// newInfoNode returns a node whose network green passes its device-info file to its plugin.
func newInfoNode(t *testing.T, content string) (*testNode, Request) {
	t.Helper()
	n, req := newDeviceNode(t)
	must(t, os.MkdirAll(n.path("devinfo/dp"), 0o755))
	must(t, os.WriteFile(n.path("devinfo/dp/kaloom.com-nic-nic0-device.json"), []byte(content), 0o644))
	n.api.networks["tenant/green"] = `{"type": "nic", "capabilities": {"CNIDeviceInfoFile": true}}`
	n.selectNetworks("green")
	return n, req
}

// expectInfo compares the recorded device-info, and the files for attachments.
func (n *testNode) expectInfo(info string, files int) {
	n.Helper()
	a, _ := n.record().Find(greenIf)
	expectEqual(n.T, "device-info", string(a.DeviceInfo), info)
	left, err := os.ReadDir(n.path("devinfo/cni"))
	if err != nil && !os.IsNotExist(err) {
		n.Fatal(err)
	}
	expectEqual(n.T, "files for attachments", len(left), files)
}

func TestAdd_DeviceInfo(t *testing.T) {
	const file = `file=$(sed 's/.*"CNIDeviceInfoFile":"\([^"]*\)".*/\1/'); `
	for _, tt := range []struct{ behavior, plugin, content, info string }{
		{"a plugin that reads it", file + `cp $file seen; `, nicInfo, nicInfo},
		{"a plugin that changes it", file + `sed s/nic0/eth9/ $file >seen; [ $CNI_COMMAND = DEL ] || cp seen $file; `,
			nicInfo, `{"type":"pci","version":"1.1.0","pci":{"pci-address":"eth9"}}`},
		{"a plugin that breaks it", file + `[ $CNI_COMMAND = DEL ] || echo >$file; `, nicInfo, ""},
		{"a device plugin that writes no JSON", ``, "text", ""},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			n, req := newInfoNode(t, tt.content)
			n.script("nic", tt.plugin+emptyResult)
			n.add(req)
			files := 1
			if tt.content == "text" {
				files = 0
			}
			n.expectInfo(tt.info, files)
			n.del(req)
			n.expectInfo("", 0)
			n.expectNothingLeft()
		})
	}
	t.Run("a plugin that does not ask for it", func(t *testing.T) {
		n, req := newInfoNode(t, nicInfo)
		n.api.networks["tenant/green"] = `{"type": "nic"}`
		n.add(req)
		n.expectInfo(nicInfo, 0)
	})
	t.Run("a plugin that writes it for a network without a device", func(t *testing.T) {
		n, req := newInfoNode(t, "")
		delete(n.api.resources, "tenant/green")
		n.script("nic", file+`mkdir -p $(dirname $file); echo '`+nicInfo+`' >$file; `+emptyResult)
		n.add(req)
		n.expectInfo(nicInfo, 1)
		n.del(n.hotRequest(req.Conf, "green"))
		n.expectInfo("", 0)
	})
}

func TestAdd_DeviceInfoIsRemovedWithTheAttachment(t *testing.T) {
	t.Run("by a roll-back", func(t *testing.T) {
		n, req := newInfoNode(t, nicInfo)
		n.script("nic", `[ $CNI_COMMAND = ADD ] && exit 1; `+emptyResult)
		n.addFails(req, CodeDelegate)
		n.expectInfo("", 0)
	})
	t.Run("when it is reclaimed", func(t *testing.T) {
		n, req := newInfoNode(t, nicInfo)
		n.add(req)
		n.expectInfo(nicInfo, 1)
		must(t, n.plugin.Reclaim(context.Background(), func(ledger.Record) bool { return true }))
		n.expectInfo("", 0)
	})
	t.Run("by a later DEL, if it could not be", func(t *testing.T) {
		n, req := newInfoNode(t, nicInfo)
		n.add(req)
		path := n.plugin.DeviceInfo.Path(container, greenIf)
		must(t, os.Remove(path))
		must(t, os.MkdirAll(path+"/full", 0o755))
		n.delFails(req, 999, "network green", "remove the device-info file "+path)
		must(t, os.Remove(path+"/full"))
		n.script("nic", `exit 1`) // its DEL has succeeded
		n.del(req)
		n.expectNothingLeft()
	})
}
