package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// podVerb is a verb that something is done to.
type podVerb struct {
	verb string
	conf func(*pod) netconf
	call func(*pod) call
	// begin makes a Pod with what the verb needs.
	begin func(*testing.T, *tenant) *pod
	// before and after are the Pod's networks as long as the verb was not done, and once it was; nil where the Pod has not even the default one.
	before, after []string
}

// The four verbs on a Pod with three networks, of which data comes and goes by the hot ones.
var (
	podAdd = podVerb{
		verb: "ADD", conf: ofRuntime, call: (*pod).runtime,
		begin: func(t *testing.T, tn *tenant) *pod { return tn.asking(t, three...) },
		after: three,
	}
	podDel = podVerb{
		verb: "DEL", conf: ofRuntime, call: (*pod).runtime,
		begin:  func(t *testing.T, tn *tenant) *pod { return tn.attached(t, three...) },
		before: three,
	}
	hotAdd = podVerb{
		verb: "ADD", conf: (*pod).agentConf, call: ofData,
		begin:  func(t *testing.T, tn *tenant) *pod { return tn.attached(t, two...) },
		before: two, after: three,
	}
	hotDel = podVerb{
		verb: "DEL", conf: (*pod).agentConf, call: ofData,
		begin: func(t *testing.T, tn *tenant) *pod {
			p := tn.attached(t, two...)
			p.hotAddMAC(t, "data", p.dataMAC())
			return p
		},
		before: three, after: two,
	}
	podVerbs = map[string]podVerb{"ADD": podAdd, "DEL": podDel, "hot ADD": hotAdd, "hot DEL": hotDel}

	two   = []string{"green", "blue"}
	three = []string{"green", "blue", "data"}
)

func ofRuntime(p *pod) netconf { return p.conf }
func ofData(p *pod) call       { return p.agent("data", p.dataMAC()) }

// dataMAC is asked for on data, so that kactus looks at the device.
func (tn *tenant) dataMAC() string { return tn.unused(1) }

// newCampaignTenant has the three networks.
func newCampaignTenant(t *testing.T) *tenant {
	t.Helper()
	tn := newTenant(t)
	tn.conf.LogLevel = "error" // each line is a system call
	tn.bridges(t, three...)
	return tn
}

// asking is a Pod that asks for these networks.
func (tn *tenant) asking(t *testing.T, names ...string) *pod {
	t.Helper()
	var all []string
	for _, name := range names {
		mac := ""
		if name == "data" {
			mac = tn.dataMAC()
		}
		all = append(all, `{"name":"`+name+`","ifMac":"`+mac+`"}`)
	}
	return tn.pod(t, "["+strings.Join(all, ",")+"]")
}

func (tn *tenant) attached(t *testing.T, names ...string) *pod {
	t.Helper()
	p := tn.asking(t, names...)
	p.add(t)
	return p
}

func (v podVerb) start(t *testing.T, p *pod) *running {
	t.Helper()
	return p.start(t, v.verb, v.conf(p), v.call(p))
}

// do is undisturbed, and must succeed.
func (v podVerb) do(t *testing.T, p *pod) {
	t.Helper()
	if _, err := v.start(t, p).wait(t); err != nil {
		t.Fatal(err)
	}
}

// expectNetworks: the Pod has the default network and these, or nothing, if there are none. It is the tenant's only one.
func (p *pod) expectNetworks(t *testing.T, networks []string) {
	t.Helper()
	if len(networks) == 0 {
		p.expectClean(t)
		return
	}
	p.expectWhole(t, networks...)
}

// expectWhole: the Pod has the default network and these, each with one address, all is in the ledger, and nothing is there that is not of it. The
// Pod is the tenant's only one.
func (p *pod) expectWhole(t *testing.T, networks ...string) {
	t.Helper()
	devices := []string{"eth0"}
	for _, name := range networks {
		devices = append(devices, deviceName(name))
	}
	p.expectDevices(t, devices...)
	p.expectLedger(t, "attached", devices...)
	p.expectFiles(t, p.id+".json")
	kept := map[string]bool{defaultNet: true}
	for _, name := range networks {
		kept[name] = true
	}
	for _, name := range append(fileNames(t, p.leaseDir()), networks...) {
		want := 0
		if kept[name] {
			want = 1
		}
		p.expectLeases(t, name, want)
	}
	p.expectNoProcess(t)
}

// expectClean: nothing is left of the Pod, which is the tenant's only one, on the node.
func (p *pod) expectClean(t *testing.T) {
	t.Helper()
	p.expectGone(t)
	p.expectFiles(t)
	p.expectNoProcess(t)
}

// known says whether the ledger has a record of the Pod.
func (p *pod) known() bool {
	_, err := os.Stat(p.recordPath())
	return err == nil
}

// expectFiles: the ledger's folder has these and no others.
func (p *pod) expectFiles(t *testing.T, want ...string) {
	t.Helper()
	expectSame(t, "files in the ledger", fileNames(t, p.conf.CNIDir), want)
}

// expectNoProcess: neither a kactus of the Pod's nor a delegate runs.
func (p *pod) expectNoProcess(t *testing.T) {
	t.Helper()
	eventually(t, "no process works for the Pod", func() bool {
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		return !slices.ContainsFunc(dirs, func(dir string) bool {
			environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
			return strings.Contains(string(environ), "CNI_CONTAINERID="+p.id+"\x00")
		})
	})
}
