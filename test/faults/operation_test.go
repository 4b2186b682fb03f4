package faults

import (
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// An operation is an operation that the campaign disturbs.
type operation struct {
	command string
	conf    func(*kactustest.Pod) kactustest.NetConf
	call    func(*kactustest.Pod) kactustest.Call
	// prepare makes a Pod with what the operation needs.
	prepare func(*testing.T, *kactustest.Tenant) *kactustest.Pod
	// before and after are the Pod's networks before and after the operation, as cut reads them;
	// nil if it does not even have the default network.
	before, after []string
}

// The four operations on a Pod with three networks, of which the hot ones attach and detach data.
var (
	podAdd = operation{
		command: "ADD", conf: runtimeConf, call: (*kactustest.Pod).Runtime,
		prepare: func(t *testing.T, tn *kactustest.Tenant) *kactustest.Pod { return newPodFor(t, tn, three...) },
		after:   three,
	}
	podDel = operation{
		command: "DEL", conf: runtimeConf, call: (*kactustest.Pod).Runtime,
		prepare: func(t *testing.T, tn *kactustest.Tenant) *kactustest.Pod { return newAttachedPod(t, tn, three...) },
		before:  three,
	}
	hotAdd = operation{
		command: "ADD", conf: (*kactustest.Pod).AgentConf, call: dataCall,
		prepare: func(t *testing.T, tn *kactustest.Tenant) *kactustest.Pod { return newAttachedPod(t, tn, two...) },
		before:  two, after: three,
	}
	hotDel = operation{
		command: "DEL", conf: (*kactustest.Pod).AgentConf, call: dataCall,
		prepare: func(t *testing.T, tn *kactustest.Tenant) *kactustest.Pod {
			p := newAttachedPod(t, tn, two...)
			p.HotAddMAC(t, "data", dataMAC(p.Tenant))
			return p
		},
		before: three, after: two,
	}
	operations = map[string]operation{"ADD": podAdd, "DEL": podDel, "hot ADD": hotAdd, "hot DEL": hotDel}

	two   = []string{"green", "blue"}
	three = []string{"green", "blue", "data"}
)

// Operations on a Pod that was written for Multus: on a network that it selects twice, and on one
// whose MAC address kactus sets. The hot ones attach and detach the network a third time.
var (
	npwgAdd = operation{
		command: "ADD", conf: runtimeConf, call: (*kactustest.Pod).Runtime,
		prepare: func(t *testing.T, tn *kactustest.Tenant) *kactustest.Pod { return newNPWGPod(t, tn) },
		after:   npwgThree,
	}
	npwgHotAdd = operation{
		command: "ADD", conf: thirdConf, call: thirdCall, prepare: newAttachedNPWGPod,
		before: npwgThree, after: npwgFour,
	}
	npwgHotDel = operation{
		command: "DEL", conf: thirdConf, call: thirdCall,
		prepare: func(t *testing.T, tn *kactustest.Tenant) *kactustest.Pod {
			p := newAttachedNPWGPod(t, tn)
			npwgHotAdd.run(t, p)
			return p
		},
		before: npwgFour, after: npwgThree,
	}

	npwgThree = []string{"lan@net1", "lan@second", "wan@net3"}
	npwgFour  = append(slices.Clone(npwgThree), third)
)

// third is what the hot operations of Pods that were written for Multus attach and detach.
const third = "lan@net2"

func thirdConf(p *kactustest.Pod) kactustest.NetConf { return hotConf(p, third) }
func thirdCall(p *kactustest.Pod) kactustest.Call    { return hotCall(p, third) }

// cut returns the network of an element such as "green", which is that of a Network, or "lan@net1",
// that of a NetworkAttachmentDefinition, and the name of its interface.
func cut(element string) (network, ifName string, npwg bool) {
	network, ifName, npwg = strings.Cut(element, "@")
	if !npwg {
		ifName = kactustest.IfName(network)
	}
	return network, ifName, npwg
}

// hotConf returns the netconf of a hot operation on that element, as cut reads it.
func hotConf(p *kactustest.Pod, element string) kactustest.NetConf {
	conf := p.AgentConf()
	if network, ifName, npwg := cut(element); npwg {
		conf.RuntimeConfig = map[string]any{netconf.SelectionCapability: map[string]string{
			"kind": "NetworkAttachmentDefinition", "name": network, "interface": ifName,
		}}
	}
	return conf
}

func hotCall(p *kactustest.Pod, element string) kactustest.Call {
	network, ifName, _ := cut(element)
	call := p.Agent(network, "")
	call.IfName = ifName
	return call
}

func runtimeConf(p *kactustest.Pod) kactustest.NetConf { return p.Conf }
func dataCall(p *kactustest.Pod) kactustest.Call       { return p.Agent("data", dataMAC(p.Tenant)) }

// dataMAC returns the MAC address that is asked for on data. The delegate ignores it, so that
// kactus sets it, and puts the previous one back.
func dataMAC(tn *kactustest.Tenant) string { return tn.UniqueMAC(1) }

// newCampaignTenant returns a tenant with the networks of both kinds.
func newCampaignTenant(t *testing.T) *kactustest.Tenant {
	t.Helper()
	tn := kactustest.NewTenant(t)
	tn.Conf.LogLevel = "error" // each line is a system call
	tn.CreateBridgeNetworks(t, two...)
	addDeafBridge(t, tn)
	tn.CreateNetwork(t, "data", "{"+tn.BridgeConfigFor(t, "deaf", "data")+"}")
	tn.CreateBridgeNADs(t, "lan")
	tn.CreateNAD(t, "wan", `{"capabilities": {"mac": true}, `+tn.BridgeConfigFor(t, "deaf", "wan")+"}")
	return tn
}

// addDeafBridge adds the delegate deaf, which is the bridge plugin, but ignores the MAC address
// that is asked for. Its DEL fails if the interface still has that.
func addDeafBridge(t *testing.T, tn *kactustest.Tenant) {
	t.Helper()
	tn.AddScript(t, "deaf", `
unset CNI_ARGS
if [ "$CNI_COMMAND" = DEL ] && [ -e "$CNI_NETNS" ] &&
	nsenter --net="$CNI_NETNS" ip link show "$CNI_IFNAME" 2>/dev/null | grep -q `+dataMAC(tn)+`; then
	echo '{"code": 77, "msg": "the MAC address was not put back"}'
	exit 1
fi
sed 's/"runtimeConfig":{"mac":"[^"]*"}/"runtimeConfig":{}/' | `+kactustest.PluginDir()+`/bridge
`)
}

// newPodFor returns a Pod that asks for these networks.
func newPodFor(t *testing.T, tn *kactustest.Tenant, names ...string) *kactustest.Pod {
	t.Helper()
	var all []string
	for _, name := range names {
		mac := ""
		if name == "data" {
			mac = dataMAC(tn)
		}
		all = append(all, `{"name":"`+name+`","ifMac":"`+mac+`"}`)
	}
	return tn.NewPod(t, "["+strings.Join(all, ",")+"]")
}

// newNPWGPod returns a Pod that was written for Multus and asks for npwgThree.
func newNPWGPod(t *testing.T, tn *kactustest.Tenant) *kactustest.Pod {
	t.Helper()
	return tn.NewNPWGPod(t,
		`[{"name":"lan"},{"name":"lan","interface":"second"},{"name":"wan","mac":"`+dataMAC(tn)+`"}]`)
}

func newAttachedNPWGPod(t *testing.T, tn *kactustest.Tenant) *kactustest.Pod {
	t.Helper()
	p := newNPWGPod(t, tn)
	p.Add(t)
	return p
}

func newAttachedPod(t *testing.T, tn *kactustest.Tenant, names ...string) *kactustest.Pod {
	t.Helper()
	p := newPodFor(t, tn, names...)
	p.Add(t)
	return p
}

func (v operation) start(t *testing.T, p *kactustest.Pod) *kactustest.Process {
	t.Helper()
	return p.Start(t, v.command, v.conf(p), v.call(p))
}

// run runs the operation undisturbed. It must succeed.
func (v operation) run(t *testing.T, p *kactustest.Pod) {
	t.Helper()
	if _, err := v.start(t, p).Wait(t); err != nil {
		t.Fatal(err)
	}
}

// expectNetworks fails the test if the Pod does not have the default network and these, or nothing
// if there are none. It must be the tenant's only Pod.
func expectNetworks(t *testing.T, p *kactustest.Pod, networks []string) {
	t.Helper()
	if len(networks) == 0 {
		expectClean(t, p)
		return
	}
	expectAttached(t, p, networks...)
}

// expectAttached fails the test unless the Pod has the default network and these, as cut reads
// them, each with one address and in the ledger, and nothing else is there. It must be the tenant's
// only Pod.
func expectAttached(t *testing.T, p *kactustest.Pod, networks ...string) {
	t.Helper()
	ifNames := ifNamesOf(networks)
	p.ExpectInterfaces(t, ifNames...)
	p.ExpectLedger(t, "attached", ifNames...)
	expectLedgerFiles(t, p, p.ID+".json")
	leases := map[string]int{kactustest.DefaultNetwork: 1}
	for _, name := range kactustest.FileNames(t, p.LeaseDir()) {
		leases[name] += 0 // those of no other network
	}
	for _, element := range networks {
		name, _, _ := cut(element)
		leases[name]++
	}
	for name, want := range leases {
		p.ExpectLeases(t, name, want)
	}
	expectNoProcess(t, p)
}

// expectClean fails the test if anything is left on the node of the Pod, which must be the tenant's
// only one.
func expectClean(t *testing.T, p *kactustest.Pod) {
	t.Helper()
	p.ExpectGone(t)
	expectLedgerFiles(t, p)
	expectNoProcess(t, p)
}

// expectLedgerFiles fails the test if the ledger's directory does not have exactly these files.
func expectLedgerFiles(t *testing.T, p *kactustest.Pod, want ...string) {
	t.Helper()
	kactustest.ExpectSame(t, "files in the ledger", kactustest.FileNames(t, p.Conf.CNIDir), want)
}

// expectNoProcess fails the test if a kactus or a delegate still works for the Pod.
func expectNoProcess(t *testing.T, p *kactustest.Pod) {
	t.Helper()
	kactustest.Eventually(t, "no process for the Pod", func() bool { return len(p.Working()) == 0 })
}
