package meta

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	types040 "github.com/containernetworking/cni/pkg/types/040"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

func TestAPodWithoutAnAnnotationGetsTheDefaultNetworkAlone(t *testing.T) {
	for _, annotation := range []string{"", "  ", "[]"} {
		t.Run(fmt.Sprintf("%q", annotation), func(t *testing.T) {
			n := newNode(t)
			n.api.annotation = annotation
			req := n.request(n.conf(n.ptp(1)))
			result := n.add(req)
			same(t, "devices", n.netns.Devices(t), "[eth0]")
			same(t, "address", n.netns.IPv4(t, "eth0"), "["+addressOf(t, result)+"]")
			same(t, "requests", [2]int32{n.api.pods.Load(), n.api.asked.Load()}, "[1 0]")
			n.del(req)
			n.nothingLeft()
		})
	}
}

func TestAPodGetsEachNetworkOnTheDeviceThatItsNameSays(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green"}, {"name": "blue"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	n.api.networks["default/blue"] = n.ptp(3)
	req := n.request(n.conf(n.ptp(1)))
	result := n.add(req)
	same(t, "devices", n.netns.Devices(t), []string{"eth0", blueDevice, greenDevice})
	if got := addressOf(t, result); !strings.HasPrefix(got, "10.1.") {
		t.Errorf("the result says %s, which is not the default network's", got)
	}
	for device, begins := range map[string]string{"eth0": "10.1.", greenDevice: "10.2.", blueDevice: "10.3."} {
		if got := n.netns.IPv4(t, device); len(got) != 1 || !strings.HasPrefix(got[0], begins) {
			t.Errorf("%s has %v", device, got)
		}
	}
	r := n.record()
	for i, want := range []string{"eth0", greenDevice, blueDevice} {
		e := r.Attachments[i]
		same(t, "attachment", e.Device, want)
		if e.State != ledger.Attached || addressOfRaw(t, e.Result) != n.netns.IPv4(t, want)[0] {
			t.Errorf("%s is %s, with the result %s", e.Device, e.State, e.Result)
		}
	}
	if r.Pod != pod || r.Device != "eth0" || r.Netns.Path != n.netns.Path {
		t.Errorf("the record is of %+v in %+v", r.Pod, r.Netns)
	}
	n.del(req)
	n.nothingLeft()
}

func TestThePlanIsInTheLedgerBeforeTheFirstDelegateRuns(t *testing.T) {
	n := newNode(t)
	n.plugin("witness", `[ $CNI_COMMAND = ADD ] && cp ledger/$CNI_CONTAINERID.json seen.json; echo '{"cniVersion":"1.0.0"}'`)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	n.add(n.request(n.conf(`{"type": "witness"}`)))
	var seen ledger.Record
	must(t, json.Unmarshal([]byte(n.read("seen.json")), &seen))
	if len(seen.Attachments) != 2 {
		t.Fatalf("the ledger held %+v", seen)
	}
	for i, device := range []string{"eth0", greenDevice} {
		e := seen.Attachments[i]
		if e.Device != device || e.State != ledger.Planned || e.Config.Plugins == nil || !strings.Contains(e.Args, "K8S_POD_NAME=app") {
			t.Errorf("the ledger held %+v", e)
		}
	}
}

func TestTheDefaultNetworkIsMadeBeforeTheOthers(t *testing.T) {
	n := newNode(t)
	n.plugin("diarist", `echo begin $CNI_IFNAME >>diary; echo end $CNI_IFNAME >>diary; echo '{"cniVersion":"1.0.0"}'`)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = `{"type": "diarist"}`
	n.add(n.request(n.conf(`{"type": "diarist"}`)))
	same(t, "diary", n.read("diary"), fmt.Sprintf("begin eth0\nend eth0\nbegin %[1]s\nend %[1]s", greenDevice))
}

func TestTheOtherNetworksAreMadeAtOnceAndUndoneAtOnce(t *testing.T) {
	n := newNode(t)
	n.diary("plain")
	// Each end of a FIFO waits for the other to be opened: one delegate after the other would hang.
	must(t, unix.Mkfifo(n.path("meet"), 0o600))
	n.plugin("talks", `echo hello >meet; echo '{"cniVersion":"1.0.0"}'`)
	n.plugin("listens", `read word <meet; echo '{"cniVersion":"1.0.0"}'`)
	n.api.annotation = `[{"name": "green"}, {"name": "blue"}]`
	n.api.networks["tenant/green"] = `{"type": "talks"}`
	n.api.networks["tenant/blue"] = `{"type": "listens"}`
	req := n.request(n.conf(`{"type": "plain"}`))
	n.add(req)
	n.del(req)
	n.nothingLeft()
}

func TestTheResultIsInTheVersionThatTheRuntimeSpeaks(t *testing.T) {
	n := newNode(t)
	conf := n.conf(strings.Replace(n.ptp(1), "{", `{"cniVersion": "1.0.0", `, 1))
	conf.CNIVersion = "0.3.1"
	result := n.add(n.request(conf))
	if _, ok := result.(*types040.Result); !ok || result.Version() != "0.3.1" || addressOf(t, result) == "" {
		t.Errorf("got %v of the version %s", result, result.Version())
	}
}

func TestAPrimaryNetworkTakesThePlaceOfTheMasterDelegate(t *testing.T) {
	n := newNode(t)
	n.diary("master")
	n.api.annotation = `[{"name": "blue", "ifMac": "0a:00:00:00:00:0b"}, {"name": "green", "isPrimary": true, "ifMac": "0a:00:00:00:00:0a"}]`
	n.api.networks["tenant/green"] = n.bridged(2)
	n.api.networks["tenant/blue"] = n.ptp(3)
	req := n.request(n.conf(`{"type": "master"}`))
	result := n.add(req)
	same(t, "diary", n.read("diary"), "")
	same(t, "devices", n.netns.Devices(t), []string{"eth0", blueDevice})
	same(t, "result", []string{addressOf(t, result)}, n.netns.IPv4(t, "eth0"))
	same(t, "MAC of eth0", n.netns.MAC(t, "eth0"), "0a:00:00:00:00:0a")
	same(t, "MAC of blue", n.netns.MAC(t, blueDevice), "0a:00:00:00:00:0b")
	n.del(req)
	n.nothingLeft()
	same(t, "diary", n.read("diary"), "")
}

func TestANetconfsOtherDelegatesAreForEveryPod(t *testing.T) {
	n := newNode(t)
	req := n.request(n.conf(n.ptp(1) + `, ` + strings.Replace(n.bridged(2), "{", `{"name": "green", `, 1)))
	n.add(req)
	same(t, "devices", n.netns.Devices(t), []string{"eth0", greenDevice})
	n.del(req)
	n.nothingLeft()
}

func TestAChainIsOneNetwork(t *testing.T) {
	n := newNode(t)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = fmt.Sprintf(`{"plugins": [%s, {"type": "tuning", "mtu": 1380}]}`, n.bridged(2))
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	same(t, "MTU", n.netns.Link(t, greenDevice).Attrs().MTU, 1380)
	n.del(req)
	n.nothingLeft()
}

func TestADelegateIsToldWhoseDeviceItMakes(t *testing.T) {
	n := newNode(t)
	n.plugin("told", `echo "$CNI_CONTAINERID $CNI_NETNS $CNI_ARGS" >told.$CNI_IFNAME; echo '{"cniVersion":"1.0.0"}'`)
	n.api.annotation, n.api.uid = `[{"name": "green"}]`, "some-uid"
	n.api.networks["tenant/green"] = `{"type": "told"}`
	req := n.request(n.conf(`{"type": "told"}`))
	req.Args.Pod.UID = "some-uid"
	n.add(req)
	want := "c1 " + n.netns.Path + " IgnoreUnknown=1;K8S_POD_NAMESPACE=tenant;K8S_POD_NAME=app;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=some-uid"
	same(t, "eth0", n.read("told.eth0"), want)
	same(t, "green", n.read("told."+greenDevice), want)
}

func addressOfRaw(t *testing.T, result json.RawMessage) string {
	t.Helper()
	var r struct {
		IPs []struct{ Address string }
	}
	must(t, json.Unmarshal(result, &r))
	if len(r.IPs) == 0 {
		return ""
	}
	return r.IPs[0].Address
}
