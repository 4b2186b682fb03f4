package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// newLoggedNADs creates NetworkAttachmentDefinitions of these names, whose delegate is the bridge
// plugin and notes the beginning and the end of each ADD and DEL: see loggedOperations.
func newLoggedNADs(t *testing.T, tn *kactustest.Tenant, names ...string) {
	t.Helper()
	tn.AddScript(t, "logged", `log=`+tn.Dir+`/operations
echo "begin $CNI_COMMAND $CNI_IFNAME" >>"$log"
`+kactustest.PluginDir()+`/bridge
code=$?
echo "end $CNI_COMMAND $CNI_IFNAME" >>"$log"
exit $code
`)
	for _, name := range names {
		tn.CreateNAD(t, name, "{"+tn.BridgeConfigFor(t, "logged", name)+"}")
	}
}

// loggedOperations returns what was noted since the last call.
func loggedOperations(t *testing.T, tn *kactustest.Tenant) []string {
	t.Helper()
	path := filepath.Join(tn.Dir, "operations")
	data, err := os.ReadFile(path)
	kactustest.Must(t, err)
	kactustest.Must(t, os.Remove(path))
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func expectLogged(t *testing.T, tn *kactustest.Tenant, operation string, ifNames ...string) {
	t.Helper()
	var want []string
	for _, ifName := range ifNames {
		want = append(want, "begin "+operation+" "+ifName, "end "+operation+" "+ifName)
	}
	if got := loggedOperations(t, tn); strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("operations: %q; want %q", got, want)
	}
}

func TestNPWG_OneAfterTheOther(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	newLoggedNADs(t, tn, "net-a", "net-b", "net-c", "net-d")
	t.Run("of plugins that could run at once", func(t *testing.T) {
		conf := kactustest.WithKey(t, tn.Conf, "parallelPlugins", []string{"logged"})
		p := tn.NewNPWGPod(t, "net-c,net-a@first,net-b,net-d")
		_, err := p.Start(t, "ADD", conf, p.Runtime()).Wait(t)
		kactustest.Must(t, err)
		expectLogged(t, tn, "ADD", "net1", "first", "net3", "net4")
		_, err = p.Start(t, "DEL", conf, p.Runtime()).Wait(t)
		kactustest.Must(t, err)
		expectLogged(t, tn, "DEL", "net4", "net3", "first", "net1")
		p.ExpectGone(t)
	})
	t.Run("what an ADD made that fails is undone in reverse", func(t *testing.T) {
		tn.AddScript(t, "fails", `[ "$CNI_COMMAND" = ADD ] || exit 0
echo '{"code": 142, "msg": "no room"}'
exit 1
`)
		tn.CreateNAD(t, "net-x", `{"type": "fails"}`)
		p := tn.NewNPWGPod(t, "net-a,net-b,net-x,net-d")
		kactustest.ExpectError(t, p.AddError(t), 102, "net-x", "no room")
		want := "begin ADD net1, end ADD net1, begin ADD net2, end ADD net2, " +
			"begin DEL net2, end DEL net2, begin DEL net1, end DEL net1"
		if got := strings.Join(loggedOperations(t, tn), ", "); got != want {
			t.Errorf("operations: %s; want %s", got, want)
		}
		p.ExpectGone(t)
	})
}

func TestNPWG_Parallel(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	gates := map[string]kactustest.Gate{}
	for _, plugin := range []string{"gate-a", "gate-b"} {
		gates[plugin] = tn.NewGate(t, plugin, "ADD")
		tn.CreateNAD(t, plugin, "{"+tn.BridgeConfigFor(t, plugin, plugin[3:])+"}")
	}
	tn.Conf.NPWGParallel = true
	conf := kactustest.WithKey(t, tn.Conf, "parallelPlugins", []string{"gate-a", "gate-b"})
	p := tn.NewNPWGPod(t, "gate-a,gate-b")
	add := p.Start(t, "ADD", conf, p.Runtime())
	for _, g := range gates { // both wait at the same time
		g.Await(t)
	}
	for _, g := range gates {
		g.Open(t)
	}
	_, err := add.Wait(t)
	kactustest.Must(t, err)
	p.ExpectInterfaces(t, "eth0", "net1", "net2")
	p.Del(t)
	p.ExpectGone(t)
}

func TestNPWG_DelNeedsNothing(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNADs(t, "net-a", "net-b", "net-c")
	p := tn.NewAnnotatedPod(t, map[string]string{
		kactustest.NPWGAnnotation: "net-a,net-a,net-b@x1", kactustest.DefaultNetworkAnnotation: "net-c",
	})
	p.Add(t)
	p.ExpectInterfaces(t, "eth0", "net1", "net2", "x1")
	for _, name := range []string{"net-a", "net-b", "net-c"} {
		kactustest.Delete(t, kactustest.NADsPath(tn.Namespace), name)
	}
	kactustest.Delete(t, kactustest.PodsPath(tn.Namespace), p.Name)
	kactustest.Must(t, os.Remove(p.Conf.Kubeconfig))
	p.Del(t)
	p.ExpectGone(t)
}

func TestNPWG_Check(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"0.4.0", "1.0.0", "1.1.0"} {
		t.Run("version "+version, func(t *testing.T) {
			tn := kactustest.NewTenant(t)
			tn.Conf.CNIVersion = version
			tn.CreateBridgeNADs(t, "net-a", "net-b")
			p := tn.NewNPWGPod(t, "net-a,net-a,net-b@x1")
			p.Add(t)
			kactustest.Must(t, p.CheckWith(t, p.Conf, p.Runtime()))
			p.DeleteLink(t, "net2")
			kactustest.ExpectError(t, kactustest.CNIError(t, p.CheckWith(t, p.Conf, p.Runtime())), 107, "net2", "net-a")
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

func TestNPWG_GC(t *testing.T) {
	t.Parallel()
	tn := newGCTenant(t)
	tn.CreateBridgeNADs(t, "net-a", "net-b")
	live, lost := tn.NewNPWGPod(t, "net-a,net-a,net-b@x1"), tn.NewNPWGPod(t, "net-a,net-b")
	live.Add(t)
	lost.Add(t)
	lost.LoseNetns()
	forgetCache(t, tn)
	before := live.Indices(t)
	kactustest.Must(t, tn.GC(t, live))
	lost.ExpectNoRecord(t)
	live.ExpectKept(t, before, "eth0", "net1", "net2", "x1")
	expectGCCall(t, tn, "net-a", live.ID+"/net1", live.ID+"/net2")
	expectGCCall(t, tn, "net-b", live.ID+"/x1")
	tn.ExpectLeases(t, "net-a", 2)
	tn.ExpectLeases(t, "net-b", 1)
	kactustest.Must(t, tn.GC(t))
	live.ExpectGone(t)
}
