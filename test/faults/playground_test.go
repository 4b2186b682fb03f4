package faults

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// A playground is where a random sequence happens: Pods, and a model of each.
type playground struct {
	*kactustest.Tenant
	pods   []*kactustest.Pod
	models []podModel
	// indices holds the kernel's indices of the interfaces that must be there, by
	// "sandbox/interface".
	indices map[string]int
	// confs holds the netconfs for faults of the apiserver.
	confs map[trouble]kactustest.NetConf
	// usual is the time that each operation took when it was not killed.
	usual map[string]time.Duration
}

func newPlayground(t *testing.T) *playground {
	t.Helper()
	tn := kactustest.NewTenant(t)
	tn.Conf.CNIVersion = "1.1.0"
	addFailingBridge(t, tn)
	created := map[string]bool{}
	for _, element := range randomNetworks {
		name, ifName, npwg := cut(element)
		if created[name] {
			continue
		}
		created[name] = true
		tn.AddBridge(t, name)
		switch config := tn.BridgeConfigFor(t, failingBridge, name); {
		case ifName == "eth0":
			tn.SetDelegates(`{"masterPlugin": true, ` + config + `}`)
		case npwg:
			tn.CreateNAD(t, name, "{"+config+"}")
		default:
			tn.CreateNetwork(t, name, "{"+config+"}")
		}
	}
	refused, down := tn.Conf, tn.Conf
	refused.Kubeconfig = tn.NewKubeconfig(t, "stranger", kactustest.StrangerToken)
	down.Kubeconfig, down.APITimeout = tn.UnreachableKubeconfig(t, kactustest.NodeToken), "100ms"
	pg := &playground{
		Tenant: tn, models: make([]podModel, len(randomPods)), indices: map[string]int{},
		usual: map[string]time.Duration{},
		confs: map[trouble]kactustest.NetConf{apiRefuses: refused, apiDown: down},
	}
	for _, p := range randomPods {
		pg.pods = append(pg.pods, tn.NewAnnotatedPod(t, p.annotations))
	}
	return pg
}

// failingBridge is the delegate of the random sequences.
const failingBridge = "failing"

// addFailingBridge adds a delegate that is the bridge plugin, but fails for an interface as a file
// says.
func addFailingBridge(t *testing.T, tn *kactustest.Tenant) {
	t.Helper()
	tn.AddScript(t, failingBridge, `
fail() { echo '{"code": 77, "msg": "fails on purpose"}'; exit 1; }
[ -e `+failureFile(tn, "$CNI_IFNAME", "$CNI_COMMAND")+` ] || exec `+kactustest.PluginDir()+`/bridge
read when <`+failureFile(tn, "$CNI_IFNAME", "$CNI_COMMAND")+`
[ "$when" = early ] || `+kactustest.PluginDir()+`/bridge >/dev/null
fail
`)
}

func failureFile(tn *kactustest.Tenant, ifName, operation string) string {
	return filepath.Join(tn.Dir, "fail."+ifName+"."+operation)
}

// step runs a step and judges its outcome. The duration is that of the operation, if it made a Pod
// certain again.
func (pg *playground) step(t *testing.T, s step) (time.Duration, error) {
	t.Helper()
	p, m := pg.pods[s.pod], &pg.models[s.pod]
	switch {
	case s.operation == "lose":
		p.LoseNetns()
		m.lost = true
		return 0, nil
	case s.operation == "ADD" && m.lost && m.clean():
		p.NewSandbox(t) // as a runtime does when the old one is gone
		*m = podModel{}
	}
	for operation, when := range failures[s.fault] {
		_, ifName, _ := cut(randomNetworks[s.culprit])
		path := failureFile(pg.Tenant, ifName, operation)
		kactustest.Must(t, os.WriteFile(path, []byte(when+"\n"), 0o600))
		defer os.Remove(path)
	}
	if s.operation == "GC" {
		return 0, pg.collect(t, s)
	}
	before, begin := *m, time.Now()
	o := pg.run(t, s, func() *kactustest.Process { return pg.start(t, s) })
	took := time.Since(begin)
	if err := m.judge(s, o); err != nil {
		return 0, err
	}
	for i := range pg.models {
		if s.operation == "DEL" && i != s.pod {
			pg.models[i].othersDel(o)
		}
	}
	if before.any(uncertain) && !m.any(uncertain) {
		return took, nil
	}
	return 0, nil
}

// start starts the step's operation.
func (pg *playground) start(t *testing.T, s step) *kactustest.Process {
	t.Helper()
	p := pg.pods[s.pod]
	conf, isAPI := pg.confs[s.fault]
	if !isAPI {
		conf = pg.Conf
	}
	c, operation := p.Runtime(), s.operation
	if s.hot() {
		c, operation = hotCall(p, randomNetworks[s.network]), strings.TrimPrefix(s.operation, "hot ")
		hot := hotConf(p, randomNetworks[s.network])
		if isAPI {
			hot.Kubeconfig, hot.APITimeout = conf.Kubeconfig, conf.APITimeout
		}
		conf = hot
	}
	if operation == "CHECK" {
		return p.Start(t, operation, kactustest.WithKey(t, conf, "prevResult",
			map[string]string{"cniVersion": conf.CNIVersion}), c)
	}
	return p.Start(t, operation, conf, c)
}

// run waits until the operation ends, or kills it.
func (pg *playground) run(t *testing.T, s step, start func() *kactustest.Process) outcome {
	t.Helper()
	begin := time.Now()
	r := start()
	if s.kill > 0 {
		usual, known := pg.usual[s.operation]
		if !known {
			usual = 60 * time.Millisecond
		}
		select {
		case <-r.Exited:
		case <-time.After(time.Duration(s.kill * float64(usual))):
			_ = r.Cmd.Process.Kill() // may have ended just now
			<-r.Exited
		}
		if status, ok := r.Cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return outcome{killed: true}
		}
	}
	_, err := r.Wait(t)
	pg.usual[s.operation] = time.Since(begin)
	var failed *types.Error
	errors.As(err, &failed)
	return outcome{err: failed}
}

// collect runs a GC that keeps some of the Pods that certainly have a default network, as the
// runtime knows it.
func (pg *playground) collect(t *testing.T, s step) error {
	t.Helper()
	kept, list := map[int]bool{}, []types.GCAttachment{}
	for i, p := range pg.pods {
		kactustest.Eventually(t, "the delegates of a killed operation end", func() bool { return !p.Locked() })
		if s.keep[i] && pg.models[i].has[0] == present {
			kept[i] = true
			list = append(list, types.GCAttachment{ContainerID: p.ID, IfName: "eth0"})
		}
	}
	conf := pg.Conf
	if with, ok := pg.confs[s.fault]; ok {
		conf = with
	}
	o := pg.run(t, s, func() *kactustest.Process {
		return pg.pods[0].Start(t, "GC", kactustest.WithKey(t, conf, "cni.dev/valid-attachments", list),
			kactustest.Call{})
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

// finalSteps tears everything down.
func (pg *playground) finalSteps() []step {
	var steps []step
	for i := range pg.pods {
		steps = append(steps, step{operation: "DEL", pod: i})
	}
	return steps
}

// tearDown removes what is left of a sequence that failed, so that nothing else fails because of
// it.
func (pg *playground) tearDown(t *testing.T) {
	t.Helper()
	for _, s := range pg.finalSteps() {
		r := pg.start(t, s)
		<-r.Exited
	}
}

// compare returns how kernel, leases and ledger differ from the models.
func (pg *playground) compare(t *testing.T) error {
	t.Helper()
	leases := leaseHolders(t, pg.Tenant)
	var all []error
	for i, p := range pg.pods {
		m := pg.models[i]
		held, kernel := pg.statesOf(t, p), map[string]int{}
		if !m.lost {
			for name, link := range p.Links(t) {
				kernel[name] = link.Attrs().Index
			}
		}
		for n, element := range randomNetworks {
			network, ifName, _ := cut(element)
			whose := fmt.Sprintf("Pod %d: %s (%s)", i, ifName, network)
			key := p.ID + "/" + ifName
			index, inKernel := kernel[ifName]
			delete(kernel, ifName)
			switch leased := leases[network][key]; m.has[n] {
			case absent:
				delete(pg.indices, key)
				if inKernel || held[ifName] != "" || len(leased) > 0 {
					all = append(all, fmt.Errorf("%s must be absent: in the kernel: %v, in the ledger: %q, leases: %q",
						whose, inKernel, held[ifName], leased))
				}
			case present:
				if !m.lost && !inKernel || held[ifName] != "attached" || len(leased) != 1 {
					all = append(all, fmt.Errorf(
						"%s must be attached: in the kernel: %v, in the ledger: %q, leases: %q",
						whose, inKernel, held[ifName], leased))
				}
				if before, known := pg.indices[key]; known && inKernel && before != index {
					all = append(all, fmt.Errorf("%s was replaced", whose))
				}
				pg.indices[key] = index
			case uncertain:
				delete(pg.indices, key)
			}
		}
		if len(kernel) > 0 {
			unexpected := slices.Collect(maps.Keys(kernel))
			all = append(all, fmt.Errorf("the Pod %d has unexpected interfaces: %q", i, unexpected))
		}
		all = append(all, pg.strayFiles(t, i))
	}
	return errors.Join(all...)
}

// statesOf returns the states of the Pod's attachments in the ledger, by interface name.
func (pg *playground) statesOf(t *testing.T, p *kactustest.Pod) map[string]string {
	t.Helper()
	held := map[string]string{}
	if _, err := os.Stat(p.RecordPath()); errors.Is(err, fs.ErrNotExist) {
		return held
	}
	for _, a := range p.Record(t).Attachments {
		held[a.IfName] = a.State
	}
	return held
}

// strayFiles returns an error if the ledger has files of the Pod that it should not have.
func (pg *playground) strayFiles(t *testing.T, i int) error {
	t.Helper()
	m, p := pg.models[i], pg.pods[i]
	var stray []string
	for _, name := range kactustest.FileNames(t, pg.Conf.CNIDir) {
		switch suffix, own := strings.CutPrefix(name, p.ID+"."); {
		case !own, suffix == "json" && !m.clean():
		case suffix == "tmp" && m.interrupted:
		default:
			stray = append(stray, name)
		}
	}
	if len(stray) > 0 {
		return fmt.Errorf("the Pod %d: the ledger has %q", i, stray)
	}
	return nil
}
