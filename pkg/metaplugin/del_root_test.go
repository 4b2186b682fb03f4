//go:build root

package metaplugin

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// newGreenPod returns a node whose Pod has the network green, and the request that made it.
func newGreenPod(t *testing.T) (*testNode, Request) {
	t.Helper()
	n := newTestNode(t)
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	return n, req
}

func TestDel_AsksTheAPIServerNothing(t *testing.T) {
	n, req := newGreenPod(t)
	n.plugin.API = func() (API, error) {
		t.Error("the DEL connects to the apiserver")
		return nil, errors.New("no")
	}
	n.del(req)
	n.expectNothingLeft()
	n.run("nor does one of nothing", func() {
		n.del(req)
		n.del(n.hotRequest(req.Conf, "green"))
	})
}

func TestDel_DefaultNetworkLast(t *testing.T) {
	n := newTestNode(t)
	n.script("recorder", `echo $CNI_COMMAND $CNI_IFNAME >>calls
		[ $CNI_COMMAND = DEL ] && mkdir seen.$CNI_IFNAME && cp ledger/c1.json seen.$CNI_IFNAME/; `+emptyResult)
	n.selectNetworks("green")
	n.api.networks["tenant/green"] = `{"type": "recorder"}`
	req := n.request(n.conf(`{"type": "recorder"}`))
	n.add(req)
	n.del(req)
	n.expectCalls("ADD eth0", "ADD "+greenIf, "DEL "+greenIf, "DEL eth0")
	n.expectNothingLeft()
	t.Run("each is removed from the ledger once it is torn down", func(t *testing.T) {
		for dir, want := range map[string]string{"seen." + greenIf: "eth0, " + greenIf, "seen.eth0": "eth0"} {
			record, err := ledger.At(n.path(dir), "").ReadRecord(container)
			must(t, err)
			expectEqual(t, dir, ifNames(record.Attachments), want)
		}
	})
}

func TestDel_UsesTheConfigurationOfTheAdd(t *testing.T) {
	n, _ := newGreenPod(t)
	n.api.networks["tenant/green"] = `{"type": "nowhere"}`
	n.del(n.request(n.conf(strings.ReplaceAll(n.ptpConf(9), "leases", "other-leases"))))
	n.expectNothingLeft()
}

func TestDel_TearsDownWhatTheAnnotationNoLongerNames(t *testing.T) {
	n, req := newGreenPod(t)
	n.api.annotation, n.api.networks = "", nil
	n.del(req)
	n.expectNothingLeft()
}

func TestDel_RunsTheNetconfsDelegatesForAnUnknownContainer(t *testing.T) {
	n := newTestNode(t)
	n.recorder("recorder")
	conf := n.conf(`{"type": "recorder"}, {"type": "recorder", "name": "green"}`)
	n.del(n.request(conf))
	n.expectCalls("DEL eth0", "DEL "+greenIf)
	n.run("and records their failures, for the next DEL", func() {
		n.script("recorder", `echo '{"code": 11, "msg": "the lock is held"}'; exit 1`)
		n.delFails(n.request(conf), types.ErrTryAgainLater, "network default", "network green", "the lock is held")
		record := n.record()
		if len(record.Attachments) != 2 || record.Attachments[0].Failures != 1 || record.Attachments[1].Failures != 1 ||
			record.IfName != "eth0" {
			t.Errorf("the record is %+v", record)
		}
		n.recorder("recorder")
		n.del(n.request(conf))
		n.expectNothingLeft()
	})
	n.run("until they become orphans", func() {
		n.script("recorder", `exit 1`)
		for _, after := range []time.Duration{0, time.Minute} {
			n.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(after)
			n.delFails(n.request(conf), CodeDelegate, "network default")
		}
		n.now = n.now.Add(orphanAfter)
		n.del(n.request(conf))
		if record := n.record(); len(record.Attachments) != 0 || len(record.Orphans) != 2 {
			t.Errorf("the record is %+v", record)
		}
		n.recorder("recorder")
		n.del(n.request(conf))
		n.expectNothingLeft()
	})
}

func TestDel_WithoutValidDelegatesInTheNetconf(t *testing.T) {
	n := newTestNode(t)
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	req.Conf.Master.Plugins, req.Conf.Auxiliary = nil, nil // as netconf.ParseForDel leaves invalid ones
	n.del(req)
	n.expectNothingLeft()
	n.run("of an unknown container", func() { n.del(req) })
}

func TestDel_FreesLeasesIfTheNamespaceIsGone(t *testing.T) {
	for name, path := range map[string]func(n *testNode) string{
		"an empty CNI_NETNS": func(*testNode) string { return "" },
		"a path that is gone": func(n *testNode) string {
			n.netns.Remove()
			return n.netns.Path
		},
		"a file that is left": func(n *testNode) string {
			n.netns.Remove()
			must(n, os.WriteFile(n.path("left"), nil, 0o600))
			return n.path("left")
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, req := newGreenPod(t)
			n.expectLeases(2)
			n.netns.Remove()
			req.Netns = path(n)
			n.del(req)
			n.expectNothingLeftOutside()
		})
	}
}

func TestDel_UsesTheRecordedNamespaceIfNoneIsNamed(t *testing.T) {
	n := newTestNode(t)
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	req.Netns = ""
	n.del(req)
	n.expectNothingLeft()
}

func TestDel_LeavesAnotherNamespaceAtTheSamePath(t *testing.T) {
	n := newTestNode(t)
	req := n.request(n.conf(n.ptpConf(1)))
	n.add(req)
	n.netns.Remove()
	n.netns.Mount(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	must(t, n.netns.Links(t).LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	n.del(req)
	n.expectInterfaces("eth0")
	n.expectNothingLeftOutside()
}

func TestDel_OfAnotherInterfaceTouchesNothing(t *testing.T) {
	t.Run("a network's, of a Pod with a default network", func(t *testing.T) {
		n, req := newGreenPod(t)
		wrong := req
		wrong.IfName = greenIf // a hot DEL without its K8S_POD_NETWORK
		n.delFails(wrong, types.ErrInvalidEnvironmentVariables, greenIf, "K8S_POD_NETWORK")
		n.expectInterfaces("eth0", greenIf)
	})
	t.Run("a network's, of a Pod with hot networks alone", func(t *testing.T) {
		n := newTestNode(t)
		n.api.networks["tenant/green"] = n.bridgeConf(2)
		req := n.request(n.conf(n.ptpConf(1)))
		n.add(n.hotRequest(req.Conf, "green"))
		wrong := req
		wrong.IfName = greenIf
		n.delFails(wrong, types.ErrInvalidEnvironmentVariables, greenIf, "K8S_POD_NETWORK")
		n.expectInterfaces(greenIf)
		n.del(req)
		n.expectNothingLeft()
	})
	t.Run("one that the Pod does not have", func(t *testing.T) {
		n, req := newGreenPod(t)
		wrong := req
		wrong.IfName = "eth1"
		n.del(wrong)
		n.expectInterfaces("eth0", greenIf)
		n.del(req)
		n.expectNothingLeft()
	})
}

func TestDel_TearsDownHotNetworksOfAPodThatKactusDidNotMake(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	conf := n.conf(`{"type": "master"}`)
	n.add(n.hotRequest(conf, "green"))
	n.del(n.request(conf))
	n.expectCalls("DEL eth0")
	n.expectNothingLeft()
}

func TestDel_CorruptRecordCannotBeQuarantined(t *testing.T) {
	n, req := newRunningPod(t)
	n.corrupt()
	n.store.fail("Quarantine")
	n.delFails(req, types.ErrIOFailure, errDisk.Error()) // so that the runtime tries again
	n.expectPodRemoved()
	n.store.fail()
	n.del(req)
}

// containerd takes an error of a DEL with these words for a success.
func TestDel_ErrorsDoNotSayNotFound(t *testing.T) {
	n := newTestNode(t)
	n.script("stuck", `[ $CNI_COMMAND = ADD ] && `+emptyResult+` && exit 0
		echo 'not found on stderr' >&2
		echo '{"code": 7, "msg": "Link not found", "details": "device not found"}'; exit 1`)
	n.api.networks["tenant/green"] = `{"type": "stuck"}`
	conf := n.conf(`{"type": "stuck"}`)
	n.add(n.request(conf))
	n.add(n.hotRequest(conf, "green"))
	for name, req := range map[string]Request{"hot DEL": n.hotRequest(conf, "green"), "DEL": n.request(conf)} {
		n.run(name, func() {
			err := n.delFails(req, CodeDelegate, "Link not")
			if strings.Contains(err.Error(), "not found") || strings.Contains(err.Details, "not found") ||
				!strings.Contains(err.Details, "on stderr") {
				n.Errorf("%s\n%s", err, err.Details)
			}
		})
	}
}
