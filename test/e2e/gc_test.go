package e2e

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// collectingTenant speaks version 1.1.0, and has the networks green and blue. Its bridge plugin, which is the real one but for that, keeps
// what a GC tells it.
func newGCTenant(t *testing.T) *kactustest.Tenant {
	t.Helper()
	tn := kactustest.NewTenant(t)
	tn.Conf.CNIVersion = "1.1.0"
	tn.AddScript(t, "bridge", `[ "$CNI_COMMAND" = GC ] || exec `+kactustest.PluginDir()+`/bridge
stdin=$(cat)
name=${stdin##*'"name":"'}
printf %s "$stdin" >`+tn.Dir+`/gc."${name%%'"'*}"
`)
	tn.CreateBridgeNetworks(t, "green", "blue")
	return tn
}

// expectTold: the delegate of that name was told to keep these attachments, as "container/device", and no others.
func expectGCCall(t *testing.T, tn *kactustest.Tenant, name string, want ...string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(tn.Dir, "gc."+name))
	if err != nil {
		t.Errorf("the delegate %s was not told: %v", name, err)
		return
	}
	var stdin types.NetConf
	kactustest.Must(t, json.Unmarshal(data, &stdin))
	var got []string
	for _, a := range stdin.ValidAttachments {
		got = append(got, a.ContainerID+"/"+a.IfName)
	}
	kactustest.ExpectSame(t, "what "+name+" is to keep", got, want)
}

func TestGC(t *testing.T) {
	t.Parallel()
	t.Run("leaves the runtime's Pods, with their hot networks, and undoes the others", func(t *testing.T) {
		tn := newGCTenant(t)
		live, lost := tn.NewPod(t, `[{"name":"green"}]`), tn.NewPod(t, `[{"name":"green"}]`)
		for _, p := range []*kactustest.Pod{live, lost} {
			p.Add(t)
			p.HotAdd(t, "blue")
		}
		lost.LoseNetns()   // the node was started again
		forgetCache(t, tn) // and the runtime's cache is lost, so that it deletes nothing by itself
		eth0, green, blue := live.Index(t, "eth0"), live.Index(t, kactustest.GreenIfName), live.Index(t, kactustest.BlueIfName)
		kactustest.Must(t, tn.GC(t, live))
		lost.ExpectNoRecord(t)
		live.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
		if live.Index(t, "eth0") != eth0 || live.Index(t, kactustest.GreenIfName) != green || live.Index(t, kactustest.BlueIfName) != blue {
			t.Error("a device of the live Pod is another")
		}
		for network, ifName := range map[string]string{kactustest.DefaultNetwork: "eth0", "green": kactustest.GreenIfName, "blue": kactustest.BlueIfName} {
			kactustest.ExpectSame(t, "leases of "+network, tn.Leases(t, network), []string{live.Addr(t, ifName)})
			expectGCCall(t, tn, network, live.ID+"/"+ifName)
		}
		kactustest.Must(t, tn.GC(t))
		live.ExpectGone(t)
		expectGCCall(t, tn, kactustest.DefaultNetwork)
	})
	t.Run("undoes what the ledger has of an ADD that was killed", func(t *testing.T) {
		p, g := newGatedPod(t, "ADD")
		p.Conf.CNIVersion = "1.1.0"
		add := p.Start(t, "ADD", p.Conf, p.Runtime())
		g.Await(t)
		add.Signal(t, syscall.SIGKILL)
		<-add.Exited
		kactustest.Must(t, p.GC(t)) // while its delegate lives on, nothing is touched
		p.ExpectLedger(t, "planned", "eth0", kactustest.GreenIfName, kactustest.IfName("slow"))
		g.Open(t)
		kactustest.Eventually(t, "the delegate ends", func() bool { return !p.Locked() })
		kactustest.Must(t, p.GC(t))
		p.ExpectGone(t)
	})
	t.Run("takes its delegates with it when it is killed, and holds no ADD up", func(t *testing.T) {
		tn := newGCTenant(t)
		running := kactustest.NewFIFO(t, filepath.Join(tn.Dir, "running"))
		tn.AddScript(t, "bridge", `[ "$CNI_COMMAND" = GC ] || exec `+kactustest.PluginDir()+`/bridge
echo $$ >`+tn.Dir+`/collector
echo >`+running.Name()+`
exec sleep 1000
`)
		var conf map[string]any
		kactustest.Must(t, json.Unmarshal(kactustest.Encode(t, tn.Conf), &conf))
		conf["cni.dev/valid-attachments"] = []any{}
		p := tn.NewPod(t, `[{"name":"green"}]`)
		collection := p.Start(t, "GC", conf, kactustest.Call{})
		kactustest.AwaitWrite(t, running)
		add := p.Start(t, "ADD", p.Conf, p.Runtime())
		add.AwaitLock(t)
		expectNoPlan(t, p)
		collection.Signal(t, syscall.SIGKILL)
		<-collection.Exited
		kactustest.Eventually(t, "the delegate ends", func() bool { return kactustest.ProcessEnded(t, filepath.Join(tn.Dir, "collector")) })
		if _, err := add.Wait(t); err != nil {
			t.Errorf("ADD: %v", err)
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}

// expectNoPlan: nothing is planned for the Pod.
func expectNoPlan(t *testing.T, p *kactustest.Pod) {
	t.Helper()
	if _, err := os.Stat(p.RecordPath()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a record: %v", err)
	}
}

// forgetCache makes the CNI library forget what it added.
func forgetCache(t *testing.T, tn *kactustest.Tenant) {
	t.Helper()
	kactustest.Must(t, os.RemoveAll(filepath.Join(tn.Dir, "libcni")))
}
