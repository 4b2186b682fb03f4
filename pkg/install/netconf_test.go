package install

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

const kubeconfigKey = `"kubeconfig": "/conf/kactus.d/kactus-kubeconfig.yaml"`

// netconfWith returns a netconf with that master delegate and, after it, other delegates.
func netconfWith(master string, others ...string) string {
	delegates := append([]string{`{"masterPlugin": true, ` + master + `}`}, others...)
	return `{"cniVersion": "1.0.0", "name": "n", "type": "kactus", ` + kubeconfigKey +
		`, "delegates": [` + strings.Join(delegates, ", ") + `]}`
}

func TestInstall_NamesWhatPodsWouldMiss(t *testing.T) {
	for name, tt := range map[string]struct {
		netconf string
		want    []string
		not     string
	}{
		"another kubeconfig": {netconf: strings.Replace(validNetconf, "/conf/kactus.d/", "/etc/kubernetes/", 1),
			want: []string{"kubeconfig", "/etc/kubernetes/kactus-kub", "conf/kactus.d/kactus-kubeconfig.yaml"}},
		"a kubeconfig whose path only ends alike": {
			netconf: strings.Replace(validNetconf, "/conf/kactus.d/", "/f/kactus.d/", 1),
			want:    []string{"kubeconfig"}},
		"the master delegate's IPAM plugin": {netconf: netconfWith(`"type": "ptp", "ipam": {"type": "host-local"}`),
			want: []string{"plugin host-local of the master delegate"}},
		"an auxiliary delegate's plugin": {netconf: netconfWith(`"type": "ptp"`, `{"name": "aux", "type": "macvlan"}`),
			want: []string{"plugin macvlan of the delegate aux"}},
		"an auxiliary delegate's IPAM plugin": {
			netconf: netconfWith(`"type": "ptp"`, `{"name": "aux", "type": "ptp", "ipam": {"type": "dhcp"}}`),
			want:    []string{"plugin dhcp of the delegate aux"}},
		"one of an auxiliary chain": {
			netconf: netconfWith(`"type": "ptp"`, `{"name": "aux", "plugins": [{"type": "ptp"}, {"type": "tuning"}]}`),
			want:    []string{"plugin tuning of the delegate aux"}},
		"what flannel runs unless told otherwise": {
			netconf: netconfWith(`"type": "flannel", "delegate": {"hairpinMode": true}`),
			want:    []string{"plugin bridge of", "plugin flannel of", "plugin host-local of"}},
		"flannel without a delegate": {netconf: netconfWith(`"type": "flannel"`),
			want: []string{"plugin bridge of", "plugin host-local of"}},
		"what flannel is told to run": {
			netconf: netconfWith(`"type": "flannel", "delegate": {"type": "ipvlan"}, "ipam": {"type": "other-ipam"}`),
			want:    []string{"plugin ipvlan of", "plugin other-ipam of"}, not: "host-local"},
		"an inner plugin's own": {
			netconf: netconfWith(`"type": "ptp", "delegate": {"type": "ptp", "ipam": {"type": "static"}}`),
			want:    []string{"plugin static of"}},
		"another meta-plugin's delegates": {
			netconf: netconfWith(`"type": "ptp", "delegates": [{"type": "sriov"}, {"plugins": [{"type": "ovs"}]}]`),
			want:    []string{"plugin ovs of", "plugin sriov of"}},
		"everything at once": {
			netconf: strings.Replace(netconfWith(`"type": "a"`, `{"name": "aux", "type": "b"}`),
				"/conf/", "/other/", 1),
			want: []string{"kubeconfig", "plugin a of", "plugin b of"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t)
			n.write("00-kactus.conf", tt.netconf, 0o644)
			_, err := n.Install()
			for _, word := range tt.want {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("got %v, want %q in the error", err, word)
				}
			}
			if tt.not != "" && strings.Contains(err.Error(), tt.not) {
				t.Errorf("got %v, want no %q in the error", err, tt.not)
			}
			if _, err := os.Stat(n.netconfPath()); err == nil {
				t.Error("the node has a netconf")
			}
		})
	}
	t.Run("no kubeconfig, which is only odd", func(*testing.T) {
		n := newTestNode(t)
		n.write("00-kactus.conf", strings.Replace(validNetconf, kubeconfigKey+",", "", 1), 0o644)
		n.install()
		if err := n.Notice(); err == nil || !strings.Contains(err.Error(), "kubeconfig") {
			t.Errorf("got %v", err)
		}
		n.write("00-kactus.conf", validNetconf, 0o644)
		n.install()
		if err := n.Notice(); err != nil {
			t.Error(err)
		}
	})
	t.Run("nothing", func(*testing.T) {
		n := newTestNode(t)
		for _, plugin := range []string{"flannel", "bridge", "host-local", "portmap"} {
			n.write("bin/"+plugin, "plugin", 0o755)
		}
		n.write("00-kactus.conf", netconfWith(`"plugins": [{"type": "flannel", "delegate": {"mtu": 1400}}, `+
			`{"type": "portmap", "ipam": {}, "policy": {"type": "k8s"}}]`), 0o644)
		n.install()
	})
}

func TestInstall_OtherConfigurations(t *testing.T) {
	for name, tt := range map[string]struct {
		file    string
		content string
		want    string // in the error; empty: no error
	}{
		"one that comes first":               {"00-a.conf", "{}", "00-a.conf"},
		"a list that comes first":            {"00-cilium.conflist", "{}", "00-cilium.conflist"},
		"one in capitals":                    {"00-Z.json", "", "00-Z.json"},
		"one that comes later":               {"05-cilium.conflist", "{}", ""},
		"one that runtimes do not read":      {"00-a.conf.bak", "{}", ""},
		"another one's under the older name": {"05-kactus.conf", `{"type": "ptp"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t)
			n.write("conf/"+tt.file, tt.content, 0o600)
			_, err := n.Install()
			if tt.want == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			if got := n.read("conf/00-kactus.conf") + n.read("conf/"+tt.file); got != validNetconf+tt.content {
				t.Errorf("the node has %s", got)
			}
		})
	}
}

func TestInstall_ReplacesTheNetconfOfEarlierVersions(t *testing.T) {
	n := newTestNode(t)
	n.write("conf/05-kactus.conf", strings.Replace(validNetconf, `"n"`, `"older"`, 1), 0o600)
	n.same("changes", n.install(), append(append([]string{}, all...), "remove conf/05-kactus.conf"))
	n.same("files", n.installed(), onNode)
	t.Run("and removes it at uninstall", func(*testing.T) {
		n.write("conf/05-kactus.conf", validNetconf, 0o600)
		_, err := n.Uninstall()
		n.must(err)
		n.same("files", n.installed(), []string{"bin/ptp 755"})
	})
}

// plugin is the netconf as another program puts it into a list.
const plugin = `{"type": "kactus", ` + kubeconfigKey + `, "delegates": [{"masterPlugin": true, "type": "ptp"}]}`

func TestInstall_LeavesAListAlone(t *testing.T) {
	named := strings.Replace(plugin, `{"type"`, `{"name": "n", "cniVersion": "1.0.0", "type"`, 1)
	for name, content := range map[string]string{
		"of a mesh": `{"cniVersion": "0.3.1", "name": "k8s-pod-network", "plugins": [` + plugin +
			`, {"type": "istio-cni"}]}`,
		"with the netconf's name": `{"cniVersion": "1.0.0", "name": "n", "plugins": [` + named +
			`, {"type": "istio-cni"}]}`,
		"in which another one comes first": `{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "first"}, ` +
			plugin + `]}`,
		"from which the mesh has gone": `{"cniVersion": "1.0.0", "name": "n", "plugins": [` + plugin + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range []string{"00-kactus.conflist", "05-kactus.conflist", "10-mesh.conflist"} {
				n := newTestNode(t)
				n.write("conf/"+file, content, 0o644)
				n.write("conf/05-kactus.conf", validNetconf, 0o600) // written back beside it
				n.write("conf/00-kactus.conf", validNetconf, 0o600)
				changes := n.install()
				n.same("changes", changes[len(changes)-2:],
					[]string{"remove conf/00-kactus.conf", "remove conf/05-kactus.conf"})
				n.same("changes later", n.install(), nil)
				if got := n.read("conf/" + file); got != content {
					t.Errorf("the list became %s", got)
				}
			}
		})
	}
}

func TestInstall_UpdatesTheNetconfInAList(t *testing.T) {
	n := newTestNode(t)
	n.write("conf/00-kactus.conflist", `{"cniVersion": "0.3.1", "name": "k8s-pod-network", "own": 1e2, "plugins": [
		{"type": "first", "n": 12345678901234567890}, `+plugin+`, {"type": "istio-cni", "kubernetes": {"a": [1, 2]}}
		]}`, 0o644)
	changed := strings.Replace(validNetconf, `"delegates"`, `"networkNamespace": "shared", "delegates"`, 1)
	n.write("00-kactus.conf", changed, 0o644)
	changes := n.install()
	n.same("change", changes[len(changes)-1:], []string{"write conf/00-kactus.conflist"})
	n.sameJSON("conf/00-kactus.conflist", `{"cniVersion": "0.3.1", "name": "k8s-pod-network", "own": 1e2, "plugins": [
		{"type": "first", "n": 12345678901234567890},
		`+strings.Replace(plugin, `"delegates"`, `"networkNamespace": "shared", "delegates"`, 1)+`,
		{"type": "istio-cni", "kubernetes": {"a": [1, 2]}}]}`)
	n.same("changes later", n.install(), nil)
	n.same("files", n.installed(), []string{"bin/kactus 755", "bin/null 777", "bin/ptp 755",
		"conf/00-kactus.conflist 644", "conf/kactus.d/kactus-kubeconfig.yaml 600"})
	t.Run("but not by an invalid one", func(t *testing.T) {
		before := n.read("conf/00-kactus.conflist")
		n.write("00-kactus.conf", "{", 0o644)
		if _, err := n.Install(); err == nil || n.read("conf/00-kactus.conflist") != before {
			t.Errorf("%v; the list became %s", err, n.read("conf/00-kactus.conflist"))
		}
	})
	t.Run("and says if another configuration comes first", func(t *testing.T) {
		n.write("00-kactus.conf", changed, 0o644)
		n.write("conf/00-a.conf", "{}", 0o644)
		if _, err := n.Install(); err == nil || !strings.Contains(err.Error(), "00-a.conf") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("uninstalling removes the list, which does not work without kactus", func(*testing.T) {
		_, err := n.Uninstall()
		n.must(err)
		n.same("files", n.installed(), []string{"bin/ptp 755", "conf/00-a.conf 644"})
	})
}

func TestInstall_AListOfItsOwn(t *testing.T) {
	list := func(plugins ...string) string {
		return `{"cniVersion": "1.0.0", "name": "n", "plugins": [` + strings.Join(plugins, ", ") + `]}`
	}
	n := newTestNode(t)
	n.Netconf = n.dir + "/00-kactus.conflist"
	n.write("00-kactus.conflist", list(plugin, `{"type": "tuning"}`), 0o644)
	changes := n.install()
	n.same("change", changes[len(changes)-1:], []string{"write conf/00-kactus.conflist"})

	t.Run("to which a mesh adds itself", func(*testing.T) {
		n.write("conf/00-kactus.conflist", list(plugin, `{"type": "tuning"}`, `{"type": "mesh"}`), 0o644)
		n.same("changes", n.install(), nil)
	})
	t.Run("that changes", func(*testing.T) {
		changed := strings.Replace(list(plugin, `{"type": "tuning", "mtu": 1400}`), `"1.0.0"`, `"1.1.0"`, 1)
		n.write("00-kactus.conflist", changed, 0o644)
		n.install()
		n.sameJSON("conf/00-kactus.conflist", strings.TrimSuffix(changed, `]}`)+`, {"type": "mesh"}]}`)
	})
	t.Run("that gets another plugin", func(*testing.T) {
		n.write("00-kactus.conflist", list(plugin, `{"type": "sbr"}`, `{"type": "tuning"}`), 0o644)
		n.install()
		n.sameJSON("conf/00-kactus.conflist", list(plugin, `{"type": "sbr"}`, `{"type": "tuning"}`, `{"type": "mesh"}`))
	})
	t.Run("under the name of the other form", func(t *testing.T) {
		for file, content := range map[string]string{"a.conf": list(plugin), "b.conflist": validNetconf} {
			n := newTestNode(t)
			n.Netconf = n.dir + "/" + file
			n.write(file, content, 0o644)
			if _, err := n.Install(); err == nil || !strings.Contains(err.Error(), "name of") {
				t.Errorf("%s: got %v", file, err)
			}
		}
	})
}

// sameJSON compares a file on the node with JSON.
func (n *testNode) sameJSON(name, want string) {
	n.Helper()
	var got, wanted any
	n.must(json.Unmarshal([]byte(n.read(name)), &got))
	n.must(json.Unmarshal([]byte(want), &wanted))
	if !reflect.DeepEqual(got, wanted) {
		n.Errorf("%s: got %s, want %s", name, n.read(name), want)
	}
}
