package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"
)

// playground is where a random sequence happens: Pods, and a model of each.
type playground struct {
	*tenant
	pods   []*pod
	models []podModel
	// indices are the kernel's of the devices that must be there, by "sandbox/device".
	indices map[string]int
	// confs are netconfs by the trouble with the apiserver.
	confs map[trouble]netconf
	// usual is how long a verb took when it was not killed.
	usual map[string]time.Duration
}

func newPlayground(t *testing.T) *playground {
	t.Helper()
	tn := newTenant(t)
	tn.conf.CNIVersion = "1.1.0"
	for _, name := range randomNetworks {
		tn.moody(t, name)
	}
	tn.delegates(`{"masterPlugin": true, ` + tn.moodyBridge(t, defaultNet) + `}`)
	for _, name := range randomNetworks[1:] {
		tn.network(t, name, "{"+tn.moodyBridge(t, name)+"}")
	}
	refused, down := tn.conf, tn.conf
	refused.Kubeconfig = tn.kubeconfig(t, "stranger", strangerToken)
	down.Kubeconfig, down.APITimeout = tn.kubeconfig(t, "nobody", nodeToken), "100ms"
	config, err := os.ReadFile(down.Kubeconfig)
	succeed(t, err)
	succeed(t, os.WriteFile(down.Kubeconfig, serverLine.ReplaceAll(config, []byte("server: https://127.0.0.1:1")), 0o600))
	pg := &playground{
		tenant: tn, models: make([]podModel, len(randomAnnotations)), indices: map[string]int{}, usual: map[string]time.Duration{},
		confs: map[trouble]netconf{apiRefuses: refused, apiDown: down},
	}
	for _, networks := range randomAnnotations {
		var selections []map[string]string
		for _, n := range networks {
			selections = append(selections, map[string]string{"name": randomNetworks[n]})
		}
		pg.pods = append(pg.pods, tn.pod(t, string(encode(t, append([]map[string]string{}, selections...)))))
	}
	return pg
}

// moody adds a delegate that is the bridge plugin, in the mood that a file says.
func (tn *tenant) moody(t *testing.T, name string) {
	t.Helper()
	tn.script(t, "moody-"+name, `
fail() { echo '{"code": 77, "msg": "in the mood to fail"}'; exit 1; }
[ -e `+tn.mood(name, "$CNI_COMMAND")+` ] || exec `+suite.plugins+`/bridge
read mood <`+tn.mood(name, "$CNI_COMMAND")+`
[ "$mood" = early ] || `+suite.plugins+`/bridge >/dev/null
fail
`)
}

func (tn *tenant) mood(name, verb string) string { return filepath.Join(tn.dir, "mood."+name+"."+verb) }

// moodyBridge is bridge, by the delegate moody. The bridge has an address of its own: else it takes that of a port, and the plugin's CHECK
// fails for all Pods when the ports change.
func (tn *tenant) moodyBridge(t *testing.T, name string) string {
	t.Helper()
	config := tn.bridge(t, name)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("%s%.8s", tn.bridgePrefix(), name)
	attrs.HardwareAddr = net.HardwareAddr{0x0a, 0, 0, 0, 0, 1}
	succeed(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	return strings.Replace(config, `"bridge"`, `"moody-`+name+`"`, 1)
}

// step does it, and judges how it ends. The time is that of the verb, where it made a Pod certain again.
func (pg *playground) step(t *testing.T, s step) (time.Duration, error) {
	t.Helper()
	p, m := pg.pods[s.pod], &pg.models[s.pod]
	switch {
	case s.verb == "lose":
		loseNetns(t, p.netns)
		m.lost = true
		return 0, nil
	case s.verb == "ADD" && m.lost && m.clean():
		pg.renew(t, p, m)
	}
	for verb, mood := range moods[s.fault] {
		path := pg.mood(randomNetworks[s.culprit], verb)
		succeed(t, os.WriteFile(path, []byte(mood+"\n"), 0o600))
		defer os.Remove(path)
	}
	if s.verb == "GC" {
		return 0, pg.collect(t, s)
	}
	before, begin := *m, time.Now()
	o := pg.run(t, s, func() *running { return pg.start(t, s) })
	took := time.Since(begin)
	if err := m.judge(s, o); err != nil {
		return 0, err
	}
	if before.any(uncertain) && !m.any(uncertain) {
		return took, nil
	}
	return 0, nil
}

// renew gives the Pod a new sandbox, as a runtime does when the old one is undone.
func (pg *playground) renew(t *testing.T, p *pod, m *podModel) {
	t.Helper()
	n := numbers.Add(1)
	p.id, p.netns = fmt.Sprintf("sandbox-%d", n), filepath.Join(pg.dir, fmt.Sprintf("%s-%d.netns", p.name, n))
	makeNetns(t, p.netns)
	*m = podModel{}
}

// start starts the verb of the step.
func (pg *playground) start(t *testing.T, s step) *running {
	t.Helper()
	p := pg.pods[s.pod]
	conf, isAPI := pg.confs[s.fault]
	if !isAPI {
		conf = pg.conf
	}
	c, verb := p.runtime(), s.verb
	if s.hot() {
		c, verb = p.agent(randomNetworks[s.network], ""), strings.TrimPrefix(s.verb, "hot ")
		if !isAPI {
			conf = p.agentConf()
		}
	}
	if verb == "CHECK" {
		return p.start(t, verb, withKey(t, conf, "prevResult", map[string]string{"cniVersion": conf.CNIVersion}), c)
	}
	return p.start(t, verb, conf, c)
}

func withKey(t *testing.T, conf netconf, key string, value any) map[string]any {
	t.Helper()
	var with map[string]any
	succeed(t, json.Unmarshal(encode(t, conf), &with))
	with[key] = value
	return with
}

// run is until the verb ends, or is killed.
func (pg *playground) run(t *testing.T, s step, start func() *running) outcome {
	t.Helper()
	begin := time.Now()
	r := start()
	if s.kill > 0 {
		usual, known := pg.usual[s.verb]
		if !known {
			usual = 60 * time.Millisecond
		}
		select {
		case <-r.exited:
		case <-time.After(time.Duration(s.kill * float64(usual))):
			_ = r.cmd.Process.Kill() // it may have ended just now
			<-r.exited
		}
		if status, ok := r.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return outcome{killed: true}
		}
	}
	_, err := r.wait(t)
	pg.usual[s.verb] = time.Since(begin)
	var failed *types.Error
	errors.As(err, &failed)
	return outcome{err: failed}
}

// collect runs a GC that lists of the Pods to keep those that have a default network for certain, as the runtime knows it.
func (pg *playground) collect(t *testing.T, s step) error {
	t.Helper()
	kept, list := map[int]bool{}, []types.GCAttachment{}
	for i, p := range pg.pods {
		eventually(t, "the delegates of a verb that was killed end", func() bool { return !pg.busy(t, p) })
		if s.keep[i] && pg.models[i].has[0] == present {
			kept[i] = true
			list = append(list, types.GCAttachment{ContainerID: p.id, IfName: "eth0"})
		}
	}
	conf := pg.conf
	if with, ok := pg.confs[s.fault]; ok {
		conf = with
	}
	o := pg.run(t, s, func() *running {
		return pg.pods[0].start(t, "GC", withKey(t, conf, "cni.dev/valid-attachments", list), call{})
	})
	mayFail := false
	for i := range pg.models {
		mayFail = pg.models[i].collected(s, kept[i], o) || mayFail
	}
	if mayFail {
		return nil
	}
	return o.mustSucceed()
}

// busy says whether a verb, or a delegate of one that was killed, works at the Pod.
func (pg *playground) busy(t *testing.T, p *pod) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(pg.conf.CNIDir, p.id+".lock"))
	return err == nil && p.locked(t)
}

// farewell undoes all that there may be.
func (pg *playground) farewell() []step {
	var steps []step
	for i := range pg.pods {
		steps = append(steps, step{verb: "DEL", pod: i})
	}
	return steps
}

// giveUp undoes what is left of a sequence that failed, so that nothing else fails for it.
func (pg *playground) giveUp(t *testing.T) {
	t.Helper()
	for _, s := range pg.farewell() {
		r := pg.start(t, s)
		<-r.exited
	}
}

// compare says where what is there differs from the models.
func (pg *playground) compare(t *testing.T) error {
	t.Helper()
	leases := pg.leaseHolders(t)
	var all []error
	for i, p := range pg.pods {
		m := pg.models[i]
		held, kernel := pg.heldBy(t, p), map[string]int{}
		if !m.lost {
			for name, link := range links(t, p.netns) {
				kernel[name] = link.Attrs().Index
			}
		}
		for n, device := range randomDevices {
			whose := fmt.Sprintf("Pod %d: %s (%s)", i, device, randomNetworks[n])
			key := p.id + "/" + device
			index, inKernel := kernel[device]
			delete(kernel, device)
			switch m.has[n] {
			case absent:
				delete(pg.indices, key)
				if inKernel || held[device] != "" || len(leases[n][key]) > 0 {
					all = append(all, fmt.Errorf("%s should not be: in the kernel: %v, in the ledger: %q, leases: %q", whose, inKernel, held[device], leases[n][key]))
				}
			case present:
				if !m.lost && !inKernel || held[device] != "attached" || len(leases[n][key]) != 1 {
					all = append(all, fmt.Errorf("%s should be: in the kernel: %v, in the ledger: %q, leases: %q", whose, inKernel, held[device], leases[n][key]))
				}
				if before, known := pg.indices[key]; known && inKernel && before != index {
					all = append(all, fmt.Errorf("%s is another device than it was", whose))
				}
				pg.indices[key] = index
			case uncertain:
				delete(pg.indices, key)
			}
		}
		if len(kernel) > 0 {
			all = append(all, fmt.Errorf("Pod %d has devices that nobody asked for: %q", i, slices.Collect(maps.Keys(kernel))))
		}
		all = append(all, pg.strayFiles(t, i))
	}
	return errors.Join(all...)
}

// heldBy are the states of what the ledger has of the Pod, by devices.
func (pg *playground) heldBy(t *testing.T, p *pod) map[string]string {
	t.Helper()
	held := map[string]string{}
	if _, err := os.Stat(p.recordPath()); errors.Is(err, fs.ErrNotExist) {
		return held
	}
	for _, a := range p.record(t).Attachments {
		held[a.Device] = a.State
	}
	return held
}

// leaseHolders are the addresses that host-local keeps, for each network by "sandbox/device".
func (pg *playground) leaseHolders(t *testing.T) []map[string][]string {
	t.Helper()
	var all []map[string][]string
	for _, network := range randomNetworks {
		holders := map[string][]string{}
		for _, addr := range pg.leases(t, network) {
			data, err := os.ReadFile(filepath.Join(pg.leaseDir(), network, addr))
			if errors.Is(err, fs.ErrNotExist) {
				continue // a delegate of a verb that was killed
			}
			succeed(t, err)
			holder := strings.Join(strings.Fields(string(data)), "/")
			holders[holder] = append(holders[holder], addr)
		}
		all = append(all, holders)
	}
	return all
}

// strayFiles is an error where the ledger has files of the Pod that say nothing.
func (pg *playground) strayFiles(t *testing.T, i int) error {
	t.Helper()
	m, p := pg.models[i], pg.pods[i]
	var stray []string
	for _, name := range fileNames(t, pg.conf.CNIDir) {
		switch suffix, own := strings.CutPrefix(name, p.id+"."); {
		case !own, suffix == "json" && !m.clean():
		case (suffix == "lock" || suffix == "tmp") && m.interrupted:
		default:
			stray = append(stray, name)
		}
	}
	if len(stray) > 0 {
		return fmt.Errorf("Pod %d: the ledger has %q", i, stray)
	}
	return nil
}
