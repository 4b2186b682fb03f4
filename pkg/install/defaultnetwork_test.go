package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/confdir"
)

// template is a netconf without a master delegate.
const template = `{"cniVersion": "1.0.0", "name": "kactus-net", "type": "kactus", ` + kubeconfigKey +
	`, "capabilities": {"portMappings": true}}`

const (
	flannel = `{"name": "cbr0", "cniVersion": "0.3.1", "plugins": [` +
		`{"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}}, ` +
		`{"type": "portmap", "capabilities": {"portMappings": true}}]}`
	calico = `{"name": "k8s-pod-network", "cniVersion": "0.3.1", "plugins": [{"type": "calico"}, ` +
		`{"type": "bandwidth", "capabilities": {"bandwidth": true}}]}`
	cilium = `{"name": "cilium", "cniVersion": "0.3.1", "plugins": [{"type": "cilium-cni"}]}`
	ptp    = `{"name": "plain", "cniVersion": "0.4.0", "type": "ptp", "mtu": 1400}`
)

// newDefaultNode returns a node whose netconf has no master delegate, with those configurations.
func newDefaultNode(t *testing.T, files map[string]string) *testNode {
	t.Helper()
	n := newTestNode(t)
	n.write("00-kactus.conf", template, 0o644)
	for _, plugin := range []string{"flannel", "bridge", "host-local", "portmap", "calico", "bandwidth", "cilium-cni"} {
		n.write("bin/"+plugin, "plugin", 0o755)
	}
	for name, content := range files {
		n.write("conf/"+name, content, 0o600)
	}
	return n
}

// wantMaster checks the master delegate of the installed netconf: its name and its file.
func (n *testNode) wantMaster(name, file string) {
	n.Helper()
	current := n.installedMaster()
	if current == nil {
		n.Fatalf("the netconf has no master delegate, want %s of %s", name, file)
	}
	if got := strings.TrimPrefix(current.Path, n.ConfDir+"/"); current.Chain.Name != name || got != file {
		n.Errorf("got %s of %q, want %s of %q", current.Chain.Name, got, name, file)
	}
}

func (n *testNode) fails(want ...string) {
	n.Helper()
	_, err := n.Install()
	for _, word := range want {
		if err == nil || !strings.Contains(err.Error(), word) {
			n.Errorf("got %v, want an error with %q", err, word)
		}
	}
}

// pass sets the installer's clock forward.
func (n *testNode) pass(d time.Duration) {
	clock := n.clock
	n.clock = func() time.Time { return clock().Add(d) }
}

// writeLater writes a configuration after the netconf was written, by the kernel's coarse clock.
func (n *testNode) writeLater(file, content string) {
	n.Helper()
	for {
		n.write("conf/"+file, content, 0o600)
		c, err := confdir.Load(filepath.Join(n.ConfDir, file))
		n.must(err)
		if c.Changed.After(n.installedMaster().Changed) {
			return
		}
	}
}

func (n *testNode) rename(from, to string) {
	n.Helper()
	n.must(os.Rename(filepath.Join(n.dir, "conf", from), filepath.Join(n.dir, "conf", to)))
}

func (n *testNode) remove(file string) {
	n.Helper()
	n.must(os.Remove(filepath.Join(n.dir, "conf", file)))
}

func TestInstall_FindsTheDefaultNetwork(t *testing.T) {
	n := newDefaultNode(t, map[string]string{"10-flannel.conflist": flannel, "20-ptp.conf": ptp})
	changes := n.install()
	want := "write conf/00-kactus.conf, whose default network is cbr0 (flannel, portmap) of conf/10-flannel.conflist"
	n.same("change", changes[len(changes)-1:], []string{want})
	n.sameJSON("conf/00-kactus.conf", strings.TrimSuffix(template, "}")+`, "delegates": [{"masterPlugin": true,
		"com.kaloom.source": "`+n.ConfDir+`/10-flannel.conflist", `+strings.TrimPrefix(flannel, "{")+`]}`)
	n.same("changes later", n.install(), nil)
	if !strings.HasPrefix(n.Found(), "cbr0 (flannel, portmap) of ") {
		t.Errorf("found %s", n.Found())
	}
	t.Run("with its capabilities, but for those that the netconf denies", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"10-calico.conflist": strings.Replace(calico, `{"bandwidth": true}`,
			`{"bandwidth": true, "ips": true, "mac": false}`, 1)})
		n.write("00-kactus.conf", strings.Replace(template, `"portMappings": true`,
			`"portMappings": true, "ips": false`, 1),
			0o644)
		n.install()
		content, _ := decode([]byte(n.read("conf/00-kactus.conf")))
		if !same(object{"x": content["capabilities"]},
			object{"x": []byte(`{"portMappings": true, "bandwidth": true, "ips": false}`)}) {
			n.Errorf("capabilities: %s", content["capabilities"])
		}
	})
	t.Run("before the other delegates", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"20-ptp.conf": ptp})
		n.write("00-kactus.conf", strings.TrimSuffix(template, "}")+`, "delegates": [{"name": "aux", "type": "ptp"}]}`,
			0o644)
		n.install()
		n.sameJSON("conf/00-kactus.conf", strings.TrimSuffix(template, "}")+`, "delegates": [{"masterPlugin": true,
			"com.kaloom.source": "`+n.ConfDir+`/20-ptp.conf", "name": "plain", "cniVersion": "0.4.0",
				"plugins": [`+ptp+`]},
			{"name": "aux", "type": "ptp"}]}`)
	})
	t.Run("for a list with kactus", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"20-ptp.conf": ptp})
		n.Netconf = n.dir + "/00-kactus.conflist"
		n.write("00-kactus.conflist",
			`{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "kactus", `+kubeconfigKey+
				`}, {"type": "portmap"}]}`, 0o644)
		n.install()
		n.wantMaster("plain", "20-ptp.conf")
		n.same("changes later", n.install(), nil)
	})
	t.Run("for a list that a mesh made of the netconf", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"20-ptp.conf": ptp})
		n.install()
		n.write("conf/00-kactus.conflist", `{"cniVersion": "1.0.0", "name": "kactus-net", "plugins": [`+
			n.read("conf/00-kactus.conf")+`, {"type": "istio-cni"}]}`, 0o600)
		n.remove("00-kactus.conf")
		n.same("changes", n.install(), nil)
		n.write("conf/20-ptp.conf", strings.Replace(ptp, "1400", "1300", 1), 0o600)
		n.install()
		if list := n.read("conf/00-kactus.conflist"); !strings.Contains(list, "1300") ||
			!strings.Contains(list, "istio") {
			n.Errorf("the list became %s", list)
		}
	})
	t.Run("unless the netconf spells one out", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"10-flannel.conflist": flannel})
		n.write("00-kactus.conf", validNetconf, 0o644)
		n.install()
		if got := n.read("conf/00-kactus.conf"); got != validNetconf || n.Found() != "" {
			n.Errorf("found %s; the node has %s", n.Found(), got)
		}
	})
}

func TestInstall_NoPodBeforeItsDefaultNetwork(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing is there":      {nil, "delegates has no master delegate"},
		"the file is not valid": {map[string]string{"10-a.conf": `{"name": "a", `}, "10-a.conf"},
		"only Multus is there": {map[string]string{"00-multus.conf": `{"name": "m", "type": "multus"}`},
			"that of Multus"},
		"the loopback alone": {map[string]string{"99-lo.conf": `{"name": "lo", "type": "loopback"}`},
			"loopback"},
		"a plugin of it is not there yet": {map[string]string{"10-x.conf": `{"name": "x", "type": "weave"}`}, "weave"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newDefaultNode(t, tt.files)
			n.fails(tt.want)
			if isThere(n.netconfPath()) {
				n.Error("the node has a netconf")
			}
			n.write("conf/10-cilium.conflist", cilium, 0o600)
			for file := range tt.files {
				n.remove(file)
			}
			n.install()
			n.wantMaster("cilium", "10-cilium.conflist")
		})
	}
}

func TestInstall_ANamedDefaultNetwork(t *testing.T) {
	files := map[string]string{"10-flannel.conflist": flannel, "20-ptp.conf": ptp}
	for _, tt := range []struct{ wanted, name, file string }{
		{"plain", "plain", "20-ptp.conf"},
		{"cbr0", "cbr0", "10-flannel.conflist"},
		{"20-ptp.conf", "plain", "20-ptp.conf"},
		{"CONF/20-ptp.conf", "plain", "20-ptp.conf"},
		{"auto", "cbr0", "10-flannel.conflist"},
	} {
		t.Run(tt.wanted, func(t *testing.T) {
			n := newDefaultNode(t, files)
			n.DefaultNetwork = strings.Replace(tt.wanted, "CONF", n.ConfDir, 1)
			n.install()
			n.wantMaster(tt.name, tt.file)
			if n.remove(tt.file); tt.wanted == "auto" {
				return
			}
			n.same("changes while it has gone", n.install(), nil)
			n.wantMaster(tt.name, tt.file)
			n.pass(time.Hour)
			n.same("changes an hour later", n.install(), nil)
			if n.Notice() == nil {
				n.Error("got no notice")
			}
		})
	}
	t.Run("of a directory of its own", func(t *testing.T) {
		n := newDefaultNode(t, files)
		n.write("other.conflist", calico, 0o600)
		n.DefaultNetwork = n.dir + "/other.conflist"
		n.install()
		n.wantMaster("k8s-pod-network", n.dir+"/other.conflist")
		n.DefaultNetwork = Auto
		n.install()
		n.wantMaster("cbr0", "10-flannel.conflist")
	})
	t.Run("in the ConfigMap, which may change", func(t *testing.T) {
		n := newDefaultNode(t, files)
		n.write("default-network", "plain\n", 0o644)
		n.install()
		n.wantMaster("plain", "20-ptp.conf")
		n.write("default-network", "cbr0", 0o644)
		n.install()
		n.wantMaster("cbr0", "10-flannel.conflist")
		n.write("default-network", "\n", 0o644)
		n.same("changes", n.install(), nil)
		n.DefaultNetwork = "plain" // on the command line
		n.install()
		n.wantMaster("plain", "20-ptp.conf")
	})
	for name, tt := range map[string]struct {
		wanted string
		want   []string
	}{
		"a network that is not there": {"pod-network",
			[]string{"no network pod-network", "; it has cbr0 (flannel, portmap) of ", ", plain (ptp) of "}},
		"a file that is not there": {"30-x.conf", []string{"30-x.conf", "no such file"}},
		"that of Multus":           {"00-multus.conf", []string{"that of Multus"}},
		"kactus itself":            {"00-kactus.conf", []string{"kactus itself"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newDefaultNode(t, files)
			n.write("conf/00-multus.conf", `{"name": "m", "type": "multus"}`, 0o600)
			n.install()
			n.DefaultNetwork = tt.wanted
			n.fails(tt.want...)
			n.wantMaster("cbr0", "10-flannel.conflist")
		})
	}
	t.Run("beside one that is spelled out", func(t *testing.T) {
		n := newDefaultNode(t, files)
		n.write("00-kactus.conf", validNetconf, 0o644)
		n.DefaultNetwork = "cbr0"
		n.fails("delegates has a master delegate already", "cbr0")
	})
}

// Nodes have netconfs that spell the default network out, under one name or the other.
func TestInstall_FindsWhatWasSpelledOut(t *testing.T) {
	spelled := netconfWith(strings.TrimSuffix(strings.TrimPrefix(flannel, "{"), "}"))
	for _, file := range []string{"00-kactus.conf", "05-kactus.conf"} {
		t.Run(file, func(t *testing.T) {
			n := newDefaultNode(t, map[string]string{file: spelled, "87-podman.conf": ptp})
			n.must(os.Chtimes(n.ConfDir+"/"+file, time.Now(), time.Now().Add(time.Second)))
			n.install()
			n.wantMaster("cbr0", "") // as long as its file is not there
			if isThere(n.ConfDir + "/05-kactus.conf") {
				n.Error("the earlier netconf is still there")
			}
			n.write("conf/10-flannel.conflist", flannel, 0o600)
			n.install()
			n.wantMaster("cbr0", "10-flannel.conflist")
		})
	}
	t.Run("without a name", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"05-kactus.conf": netconfWith(`"type": "ptp"`), "20-ptp.conf": ptp})
		n.must(os.Chtimes(n.ConfDir+"/05-kactus.conf", time.Now(), time.Now().Add(time.Hour)))
		n.install()
		n.wantMaster("plain", "20-ptp.conf")
	})
	t.Run("and nothing else", func(t *testing.T) {
		n := newDefaultNode(t, map[string]string{"05-kactus.conf": spelled})
		n.install()
		n.wantMaster("cbr0", "")
		if n.Notice() == nil {
			n.Error("got no notice")
		}
	})
}

func TestPlan_ShowsTheNetconf(t *testing.T) {
	n := newDefaultNode(t, map[string]string{"20-ptp.conf": ptp})
	n.must(os.Remove(n.dir + "/account/token"))
	changes, err := n.Plan()
	if err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("got %v", err)
	}
	last := changes[len(changes)-1]
	for _, want := range []string{`"plain"`, `"mtu": 1400`, "20-ptp.conf"} {
		if !strings.Contains(string(last.Content), want) {
			t.Errorf("got %s: %s", last.What, last.Content)
		}
	}
	n.fails("token")
	if isThere(n.netconfPath()) {
		t.Error("the node has a netconf, and no token")
	}
}
