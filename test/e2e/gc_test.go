package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// newGCTenant returns a tenant of version 1.1.0 with the networks green and blue. Its bridge plugin
// is the real one, except that it keeps the netconf of a GC.
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

// expectGCCall fails the test if the delegate of that name did not run GC with exactly these valid
// attachments, as "container/interface".
func expectGCCall(t *testing.T, tn *kactustest.Tenant, name string, want ...string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(tn.Dir, "gc."+name))
	if err != nil {
		t.Errorf("delegate %s: no GC: %v", name, err)
		return
	}
	var stdin types.NetConf
	kactustest.Must(t, json.Unmarshal(data, &stdin))
	var got []string
	for _, a := range stdin.ValidAttachments {
		got = append(got, a.ContainerID+"/"+a.IfName)
	}
	kactustest.ExpectSame(t, "valid attachments of "+name, got, want)
}

func TestGC(t *testing.T) {
	t.Parallel()
	t.Run("keeps the runtime's Pods and tears down the others", func(t *testing.T) {
		tn := newGCTenant(t)
		live, lost := tn.NewPod(t, `[{"name":"green"}]`), tn.NewPod(t, `[{"name":"green"}]`)
		for _, p := range []*kactustest.Pod{live, lost} {
			p.Add(t)
			p.HotAdd(t, "blue")
		}
		lost.LoseNetns()   // as after a restart of the node
		forgetCache(t, tn) // so that libcni does not DEL by itself
		eth0, green, blue := live.Index(t, "eth0"), live.Index(t, kactustest.GreenIfName),
			live.Index(t, kactustest.BlueIfName)
		kactustest.Must(t, tn.GC(t, live))
		lost.ExpectNoRecord(t)
		live.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
		if live.Index(t, "eth0") != eth0 || live.Index(t, kactustest.GreenIfName) != green ||
			live.Index(t, kactustest.BlueIfName) != blue {
			t.Error("an interface of the live Pod was replaced")
		}
		for network, ifName := range map[string]string{
			kactustest.DefaultNetwork: "eth0", "green": kactustest.GreenIfName, "blue": kactustest.BlueIfName,
		} {
			kactustest.ExpectSame(t, "leases of "+network, tn.Leases(t, network), []string{live.Addr(t, ifName)})
			expectGCCall(t, tn, network, live.ID+"/"+ifName)
		}
		kactustest.Must(t, tn.GC(t))
		live.ExpectGone(t)
		expectGCCall(t, tn, kactustest.DefaultNetwork)
	})
	t.Run("tears down what a killed ADD planned", func(t *testing.T) {
		p, g := newGatedPod(t, "ADD")
		p.Conf.CNIVersion = "1.1.0"
		add := p.Start(t, "ADD", p.Conf, p.Runtime())
		g.Await(t)
		add.Signal(t, syscall.SIGKILL)
		<-add.Exited
		kactustest.Must(t, p.GC(t)) // nothing is touched while the delegate runs
		p.ExpectLedger(t, "planned", "eth0", kactustest.GreenIfName, kactustest.IfName("slow"))
		g.Open(t)
		kactustest.Eventually(t, "the delegate ends", func() bool { return !p.Locked() })
		kactustest.Must(t, p.GC(t))
		p.ExpectGone(t)
	})
	t.Run("ends with its delegates when killed, and lets an ADD pass", func(t *testing.T) {
		tn := newGCTenant(t)
		running := kactustest.NewFIFO(t, filepath.Join(tn.Dir, "running"))
		tn.AddScript(t, "bridge", `[ "$CNI_COMMAND" = GC ] || exec `+kactustest.PluginDir()+`/bridge
echo $$ >`+tn.Dir+`/collector
echo >`+running.Name()+`
exec sleep 1000
`)
		conf := kactustest.WithKey(t, tn.Conf, "cni.dev/valid-attachments", []any{})
		p := tn.NewPod(t, `[{"name":"green"}]`)
		collection := p.Start(t, "GC", conf, kactustest.Call{})
		kactustest.AwaitWrite(t, running)
		add := p.Start(t, "ADD", p.Conf, p.Runtime())
		add.AwaitLock(t)
		p.ExpectNoRecord(t)
		collection.Signal(t, syscall.SIGKILL)
		<-collection.Exited
		kactustest.Eventually(t, "the delegate ends", func() bool {
			return kactustest.ProcessEnded(t, filepath.Join(tn.Dir, "collector"))
		})
		if _, err := add.Wait(t); err != nil {
			t.Errorf("ADD: %v", err)
		}
		p.Del(t)
		p.ExpectGone(t)
	})
}

// forgetCache removes the CNI library's cache of what it added.
func forgetCache(t *testing.T, tn *kactustest.Tenant) {
	t.Helper()
	kactustest.Must(t, os.RemoveAll(tn.LibcniCacheDir()))
}
