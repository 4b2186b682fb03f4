package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// newConfDir gives the tenant's netconf a directory of CNI configurations with these files.
func newConfDir(t *testing.T, tn *kactustest.Tenant, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		kactustest.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	tn.Conf.ConfDir = dir
	return dir
}

func TestNPWG_ConfigOnDisk(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateNAD(t, "disk", "")
	plugin := tn.BridgeConfig(t, "disk")
	conf := `{"cniVersion": "1.0.0", "name": "disk", ` + plugin + `}`
	list := `{"cniVersion": "1.0.0", "name": "disk", "plugins": [{` + plugin + `}, {"type": "tuning", "mtu": 1400}]}`
	for _, c := range []struct {
		name  string
		files map[string]string
		mtu   int
	}{
		{"a configuration", map[string]string{"10-disk.conf": conf}, 1500},
		{"a configuration in a file named json", map[string]string{"10-disk.json": conf}, 1500},
		{"a list", map[string]string{"10-disk.conflist": list}, 1400},
		{"a list before a configuration", map[string]string{"00-disk.conf": conf, "10-disk.conflist": list}, 1400},
		{"one beside broken files and those of others", map[string]string{
			"00-broken.conflist": `{"name": "disk"`, "01-empty.conf": "", "04.txt": list, "10.conf": conf,
			"02-other.conf":  `{"name": "other", "type": "x"}`,
			"03-kactus.conf": `{"cniVersion": "1.0.0", "name": "disk", "type": "kactus"}`,
		}, 1500},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := newConfDir(t, tn, c.files)
			kactustest.Must(t, os.Mkdir(filepath.Join(dir, "05-dir.conf"), 0o700))
			kactustest.Must(t, syscall.Mkfifo(filepath.Join(dir, "06-fifo.conflist"), 0o600))
			kactustest.Must(t, os.Symlink("/nowhere", filepath.Join(dir, "07-link.conf")))
			p := tn.NewNPWGPod(t, "disk")
			p.Add(t)
			p.ExpectInterfaces(t, "eth0", "net1")
			if mtu := p.Link(t, "net1").Attrs().MTU; mtu != c.mtu {
				t.Errorf("MTU %d; want %d", mtu, c.mtu)
			}
			kactustest.ExpectSame(t, "leases", tn.Leases(t, "disk"), []string{p.Addr(t, "net1")})
			kactustest.Must(t, p.CheckWith(t, p.Conf, p.Runtime()))
			kactustest.Must(t, os.RemoveAll(dir)) // a DEL needs none
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

func TestNPWG_NoConfigOnDisk(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateNAD(t, "disk", "")
	for what, files := range map[string]map[string]string{
		"there is none":         nil,
		"there is another":      {"10-other.conf": `{"cniVersion": "1.0.0", "name": "other", "type": "bridge"}`},
		"there is a broken one": {"10-disk.conf": `{"cniVersion": "1.0.0", "name": "disk", "type": "bridge"`},
		"there is kactus's own": {"00-kactus.conf": `{"cniVersion": "1.0.0", "name": "disk", "type": "kactus"}`},
	} {
		t.Run("is error 7 where "+what, func(t *testing.T) {
			dir := newConfDir(t, tn, files)
			p := tn.NewNPWGPod(t, "disk")
			kactustest.ExpectError(t, p.AddError(t), 7, "NetworkAttachmentDefinition", tn.Namespace+"/disk", dir)
			p.ExpectUntouched(t)
		})
	}
	t.Run("is error 7 where the directory is missing", func(t *testing.T) {
		tn.Conf.ConfDir = filepath.Join(tn.Dir, "no-such-dir")
		p := tn.NewNPWGPod(t, "disk")
		kactustest.ExpectError(t, p.AddError(t), 7, tn.Namespace+"/disk", tn.Conf.ConfDir)
		p.ExpectUntouched(t)
	})
	t.Run("names the file whose configuration is wrong", func(t *testing.T) {
		dir := newConfDir(t, tn, map[string]string{"10-disk.conf": `{"cniVersion": "1.0.0", "name": "disk"}`})
		p := tn.NewNPWGPod(t, "disk")
		kactustest.ExpectError(t, p.AddError(t), 7, tn.Namespace+"/disk", filepath.Join(dir, "10-disk.conf"), "type")
		p.ExpectUntouched(t)
	})
}

func TestNPWG_DefaultNetwork(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	shared, infra := tn.NewNamespace(t, "shared"), tn.NewNamespace(t, "infra")
	tn.Conf.NetworkNamespace = shared
	tn.CreateBridgeNADs(t, "net-a", "own")
	system := tn.Namespace + "-system" // a name that no other test has
	for namespace, names := range map[string][]string{
		"kube-system": {system}, shared: {"shared"}, infra: {"infra", "own"},
	} {
		for _, name := range names {
			kactustest.Create(t, kactustest.NADsPath(namespace),
				kactustest.NADObject(name, "{"+tn.BridgeConfig(t, namespace[:2]+name[:2])+"}"))
		}
	}
	for _, c := range []struct{ name, defaultNetwork, multusNamespace, want string }{
		{"of kube-system", system, "", system},
		{"of kube-system, in JSON", `[{"name":"` + system + `"}]`, "", system},
		{"with a namespace", infra + "/infra", "", "infra"},
		{"with the interface that the runtime names", "own@eth0", "", "own"},
		{"of the Pod's namespace", "own", "", "own"},
		{"of networkNamespace", "shared", "", "shared"},
		{"of multusNamespace", "infra", infra, "infra"},
		{"that is empty is the netconf's", "", "", kactustest.DefaultNetwork},
	} {
		t.Run(c.name, func(t *testing.T) {
			tn.Conf.MultusNamespace = c.multusNamespace
			p := tn.NewAnnotatedPod(t, map[string]string{
				kactustest.DefaultNetworkAnnotation: c.defaultNetwork, kactustest.NPWGAnnotation: "net-a",
			})
			kactustest.ExpectResult(t, p.Add(t), "eth0", p.MAC(t, "eth0"))
			p.ExpectInterfaces(t, "eth0", "net1")
			kactustest.ExpectSame(t, "leases", tn.Leases(t, c.want), []string{p.Addr(t, "eth0")})
			if c.want != kactustest.DefaultNetwork {
				tn.ExpectLeases(t, kactustest.DefaultNetwork, 0)
			}
			kactustest.Must(t, p.CheckWith(t, p.Conf, p.Runtime()))
			p.Del(t)
			p.ExpectGone(t)
		})
	}
	t.Run("of a Pod with kactus's own annotation", func(t *testing.T) {
		tn.CreateBridgeNetworks(t, "green")
		p := tn.NewAnnotatedPod(t, map[string]string{
			kactustest.DefaultNetworkAnnotation: "own", "networks": `[{"name":"green"}]`,
		})
		p.Add(t)
		p.ExpectInterfaces(t, "eth0", green)
		tn.ExpectLeases(t, "own", 1)
		p.Del(t)
		p.ExpectGone(t)
	})
	t.Run("twice the same network, on eth0 and net1", func(t *testing.T) {
		p := tn.NewAnnotatedPod(t, map[string]string{
			kactustest.DefaultNetworkAnnotation: "own", kactustest.NPWGAnnotation: "own",
		})
		p.Add(t)
		p.ExpectInterfaces(t, "eth0", "net1")
		tn.ExpectLeases(t, "own", 2)
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestNPWG_BrokenDefaultNetwork(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNADs(t, "net-a", "net-b")
	tn.CreateBridgeNetworks(t, "green")
	for _, c := range []struct {
		name, defaultNetwork, own string
		code                      uint
		words                     []string
	}{
		{"that there is not", "no-net", "", 11,
			[]string{"no-net", "NetworkAttachmentDefinition", "kube-system", tn.Namespace}},
		{"with two networks", "net-a,net-b", "", 7, []string{kactustest.DefaultNetworkAnnotation, "2"}},
		{"with broken JSON", `[{"name":`, "", 7, []string{kactustest.DefaultNetworkAnnotation}},
		{"with another interface", "net-a@net7", "", 7, []string{"net-a", "net7", "eth0"}},
		{"beside isPrimary", "net-a", `[{"name":"green","isPrimary":true}]`, 7,
			[]string{kactustest.DefaultNetworkAnnotation, "green"}},
		{"without the capability that is asked for", `[{"name":"net-a","mac":"02:00:00:00:00:01"}]`, "", 105,
			[]string{"net-a", "mac", "bridge"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			annotations := map[string]string{kactustest.DefaultNetworkAnnotation: c.defaultNetwork}
			if c.own != "" {
				annotations["networks"] = c.own
			}
			p := tn.NewAnnotatedPod(t, annotations)
			kactustest.ExpectError(t, p.AddError(t), c.code, c.words...)
			p.ExpectUntouched(t)
		})
	}
}

// The runtime's values are for the default network alone (section 7.5 of the standard).
func TestNPWG_RuntimeConfigOfTheRuntime(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.AddRecorder(t, "record", "tuning")
	tn.Conf.Capabilities = map[string]bool{"portMappings": true}
	const record = `, {"type": "record", "capabilities": {"portMappings": true}}]}`
	tn.SetDelegates(`{"masterPlugin": true, "plugins": [{` + tn.BridgeConfig(t, "eth") + `}` + record)
	for _, name := range []string{"net-a", "net-b"} {
		tn.CreateNAD(t, name, `{"cniVersion": "1.0.0", "plugins": [{`+tn.BridgeConfig(t, name)+`}`+record)
	}
	for what, annotations := range map[string]map[string]string{
		"the netconf's default network": {kactustest.NPWGAnnotation: "net-a"},
		"the Pod's default network": {
			kactustest.NPWGAnnotation: "net-a", kactustest.DefaultNetworkAnnotation: "net-b",
		},
	} {
		t.Run("reaches "+what+" alone", func(t *testing.T) {
			p := tn.NewAnnotatedPod(t, annotations)
			c := p.Runtime()
			c.Capabilities = portMapping(8080)
			kactustest.MustResult(t)(p.AddWith(t, p.Conf, c))
			for ifName, want := range map[string][]string{"eth0": {"portMappings"}, "net1": nil} {
				kactustest.ExpectSame(t, "runtimeConfig of "+ifName,
					keysOf(p.Recorded(t, "record", "ADD", ifName).RuntimeConfig), want)
			}
			kactustest.Must(t, p.DelWith(t, p.Conf, c))
			p.ExpectGone(t)
		})
	}
}
