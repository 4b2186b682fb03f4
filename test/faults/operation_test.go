package faults

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// podVerb is a verb that something is done to.
type operation struct {
	command string
	conf    func(*kactustest.Pod) kactustest.NetConf
	call    func(*kactustest.Pod) kactustest.Call
	// begin makes a Pod with what the verb needs.
	prepare func(*testing.T, *kactustest.Tenant) *kactustest.Pod
	// before and after are the Pod's networks as long as the verb was not done, and once it was; nil where the Pod has not even the default one.
	before, after []string
}

// The four verbs on a Pod with three networks, of which data comes and goes by the hot ones.
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

func runtimeConf(p *kactustest.Pod) kactustest.NetConf { return p.Conf }
func dataCall(p *kactustest.Pod) kactustest.Call       { return p.Agent("data", dataMAC(p.Tenant)) }

// dataMAC is asked for on data, so that kactus looks at the device.
func dataMAC(tn *kactustest.Tenant) string { return tn.UniqueMAC(1) }

// newCampaignTenant has the three networks.
func newCampaignTenant(t *testing.T) *kactustest.Tenant {
	t.Helper()
	tn := kactustest.NewTenant(t)
	tn.Conf.LogLevel = "error" // each line is a system call
	tn.CreateBridgeNetworks(t, three...)
	return tn
}

// asking is a Pod that asks for these networks.
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

// do is undisturbed, and must succeed.
func (v operation) run(t *testing.T, p *kactustest.Pod) {
	t.Helper()
	if _, err := v.start(t, p).Wait(t); err != nil {
		t.Fatal(err)
	}
}

// expectNetworks: the Pod has the default network and these, or nothing, if there are none. It is the tenant's only one.
func expectNetworks(t *testing.T, p *kactustest.Pod, networks []string) {
	t.Helper()
	if len(networks) == 0 {
		expectClean(t, p)
		return
	}
	expectAttached(t, p, networks...)
}

// expectWhole: the Pod has the default network and these, each with one address, all is in the ledger, and nothing is there that is not of it. The
// Pod is the tenant's only one.
func expectAttached(t *testing.T, p *kactustest.Pod, networks ...string) {
	t.Helper()
	ifNames := []string{"eth0"}
	for _, name := range networks {
		ifNames = append(ifNames, kactustest.IfName(name))
	}
	p.ExpectInterfaces(t, ifNames...)
	p.ExpectLedger(t, "attached", ifNames...)
	expectLedgerFiles(t, p, p.ID+".json")
	kept := map[string]bool{kactustest.DefaultNetwork: true}
	for _, name := range networks {
		kept[name] = true
	}
	for _, name := range append(kactustest.FileNames(t, p.LeaseDir()), networks...) {
		want := 0
		if kept[name] {
			want = 1
		}
		p.ExpectLeases(t, name, want)
	}
	expectNoProcess(t, p)
}

// expectClean: nothing is left of the Pod, which is the tenant's only one, on the node.
func expectClean(t *testing.T, p *kactustest.Pod) {
	t.Helper()
	p.ExpectGone(t)
	expectLedgerFiles(t, p)
	expectNoProcess(t, p)
}

// expectFiles: the ledger's folder has these and no others.
func expectLedgerFiles(t *testing.T, p *kactustest.Pod, want ...string) {
	t.Helper()
	kactustest.ExpectSame(t, "files in the ledger", kactustest.FileNames(t, p.Conf.CNIDir), want)
}

// expectNoProcess: neither a kactus of the Pod's nor a delegate runs.
func expectNoProcess(t *testing.T, p *kactustest.Pod) {
	t.Helper()
	kactustest.Eventually(t, "no process works for the Pod", func() bool {
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		return !slices.ContainsFunc(dirs, func(dir string) bool {
			environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
			return strings.Contains(string(environ), "CNI_CONTAINERID="+p.ID+"\x00")
		})
	})
}
