package meta

import (
	"errors"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

func TestADelAsksTheAPIServerNothing(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	n.verbs.API = func() (API, error) {
		t.Error("a DEL connects to the apiserver")
		return nil, errors.New("no")
	}
	n.del(req)
	n.nothingLeft()
	n.del(req) // of nothing
	n.del(n.green(req.Conf))
}

func TestADelUndoesTheOtherNetworksBeforeTheDefaultAndForgetsEachAsItIsUndone(t *testing.T) {
	n := newNode(t)
	n.plugin("diarist", `echo $CNI_COMMAND $CNI_IFNAME >>diary
		[ $CNI_COMMAND = DEL ] && cp ledger/c1.json record.$CNI_IFNAME.json; echo '{"cniVersion":"1.0.0"}'`)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = `{"type": "diarist"}`
	req := n.request(n.conf(`{"type": "diarist"}`))
	n.add(req)
	n.del(req)
	same(t, "diary", n.read("diary"), "ADD eth0\nADD "+greenDevice+"\nDEL "+greenDevice+"\nDEL eth0")
	if got := n.read("record." + greenDevice + ".json"); !strings.Contains(got, `"device":"eth0"`) || !strings.Contains(got, `"device":"`+greenDevice+`"`) {
		t.Errorf("before green was undone, the ledger had %s", got)
	}
	if got := n.read("record.eth0.json"); !strings.Contains(got, `"device":"eth0"`) || strings.Contains(got, `"device":"`+greenDevice+`"`) {
		t.Errorf("when green was undone, the ledger had %s", got)
	}
	n.nothingLeft()
}

func TestADelTriesEveryNetworkAndTellsOfAllThatFail(t *testing.T) {
	n := newNode(t)
	n.plugin("stuck", `[ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"1.0.0"}' && exit 0
		echo '{"code": 7, "msg": "stuck with '$CNI_IFNAME'"}'; exit 1`)
	n.api.annotation = `[{"name": "green"}, {"name": "blue"}]`
	n.api.networks["tenant/green"] = `{"type": "stuck"}`
	n.api.networks["tenant/blue"] = `{"type": "stuck"}`
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	err := n.delFails(req, CodeDelegate, "network green", "stuck with "+greenDevice, "network blue", "stuck with "+blueDevice)
	if strings.Count(err.Details, "stuck: code 7") != 2 {
		t.Errorf("details: %s", err.Details)
	}
	if left := n.netns.Devices(t); len(left) != 0 || len(n.leases()) != 0 {
		t.Errorf("eth0 was not undone: %v, %v", left, n.leases())
	}
	r := n.record()
	if len(r.Attachments) != 2 || r.Attachments[0].Failures != 1 || r.Attachments[0].State != ledger.Attached {
		t.Errorf("the ledger has %+v", r.Attachments)
	}
	n.plugin("stuck", ``) // mended
	n.del(req)
	n.nothingLeft()
}

func TestADelUsesTheConfigurationOfTheAdd(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	n.add(n.request(n.conf(n.ptp(1))))
	n.api.networks["tenant/green"] = `{"type": "nowhere"}`
	other := strings.ReplaceAll(n.ptp(9), "leases", "other-leases")
	n.del(n.request(n.conf(other)))
	n.nothingLeft()
}

func TestADelUndoesWhatTheAnnotationNoLongerNames(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	n.api.annotation, n.api.networks = "", nil
	n.del(req)
	n.nothingLeft()
}

func TestADelOfWhatTheLedgerDoesNotKnowAsksTheNetconfsDelegates(t *testing.T) {
	n := newNode(t)
	n.diary("diarist")
	conf := n.conf(`{"type": "diarist"}, {"type": "diarist", "name": "green"}`)
	n.del(n.request(conf))
	if got := n.read("diary"); !strings.Contains(got, "DEL eth0") || !strings.Contains(got, "DEL "+greenDevice) {
		t.Errorf("diary:\n%s", got)
	}
	n.plugin("diarist", `exit 1`)
	n.del(n.request(conf)) // what fails there must not hold the Pod
	n.nothingLeft()
}

func TestADelWithoutDelegatesInTheNetconfUndoesWhatTheLedgerKnows(t *testing.T) {
	n := newNode(t)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	req.Conf.Master.Plugins, req.Conf.Auxiliary = nil, nil // as netconf.ParseForDel leaves them where they do not parse
	n.del(req)
	n.nothingLeft()
	n.del(req)
}

func TestADelWhoseNamespaceIsGoneFreesTheLeases(t *testing.T) {
	for name, path := range map[string]func(n *node) string{
		"and is not named": func(*node) string { return "" },
		"but is named":     func(n *node) string { return n.netns.Path },
		"and a file is left": func(n *node) string {
			n.netns.Remove()
			n.plugin("../left", "")
			return n.path("left")
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.api.annotation = `[{"name": "green"}]`
			n.api.networks["tenant/green"] = n.bridged(2)
			req := n.request(n.conf(n.ptp(1)))
			n.add(req)
			same(t, "leases", len(n.leases()), 2)
			n.netns.Remove()
			req.Netns = path(n)
			n.del(req)
			n.nothingLeftOutside()
		})
	}
}

func TestADelThatDoesNotNameTheNamespaceStillRemovesTheDevices(t *testing.T) {
	n := newNode(t)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	req.Netns = ""
	n.del(req)
	n.nothingLeft()
}

func TestADelLeavesAnotherNamespaceAtTheSamePathAlone(t *testing.T) {
	n := newNode(t)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	n.netns.Remove()
	n.netns.Mount(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	must(t, n.netns.Links(t).LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	n.del(req)
	same(t, "devices of the other", n.netns.Devices(t), "[eth0]")
	n.nothingLeftOutside()
}

func TestADelThatNamesANetworksDeviceDoesNotTouchThePod(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	wrong := req
	wrong.Device = greenDevice // a hot DEL without its K8S_POD_NETWORK
	n.delFails(wrong, types.ErrInvalidEnvironmentVariables, greenDevice, "K8S_POD_NETWORK")
	wrong.Device = "eth1"
	n.del(wrong)
	same(t, "devices", n.netns.Devices(t), []string{"eth0", greenDevice})
	n.del(req)
	n.nothingLeft()
}

// containerd takes the error of a DEL whose text has these words for a success.
func TestNoErrorOfADelSaysNotFound(t *testing.T) {
	n := newNode(t)
	n.plugin("stuck", `[ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"1.0.0"}' && exit 0
		echo 'not found on stderr' >&2; echo '{"code": 7, "msg": "Link not found", "details": "device not found"}'; exit 1`)
	n.api.networks["tenant/green"] = `{"type": "stuck"}`
	conf := n.conf(`{"type": "stuck"}`)
	n.add(n.request(conf))
	n.add(n.green(conf))
	for _, err := range []*types.Error{n.delFails(n.green(conf), CodeDelegate, "Link not"), n.delFails(n.request(conf), CodeDelegate, "Link not")} {
		if strings.Contains(err.Error(), "not found") || strings.Contains(err.Details, "not found") || !strings.Contains(err.Details, "on stderr") {
			t.Errorf("%s\n%s", err, err.Details)
		}
	}
}
