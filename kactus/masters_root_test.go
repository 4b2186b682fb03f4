//go:build root

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// A master is a configuration in the form that a runtime, a distribution or a network of a cluster
// installs, which kactus must take as its master delegate as it stands.
type master struct {
	name, conf string
	// version is the one that its plugins get.
	version string
	// unchecked means that no plugin gets a CHECK.
	unchecked bool
}

const (
	portmap   = `{"type": "portmap", "capabilities": {"portMappings": true}}`
	bandwidth = `{"type": "bandwidth", "capabilities": {"bandwidth": true}}`
	snatting  = `{"type": "portmap", "snat": true, "capabilities": {"portMappings": true}}`
	// dual is an IPAM section for both families.
	dual = `{"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
		"ranges": [[{"subnet": "10.85.0.0/16"}], [{"subnet": "fd00:85::/64"}]]}`
)

var masters = []master{
	{"containerd", `{"cniVersion": "1.0.0", "name": "containerd-net", "plugins": [{"type": "bridge", "bridge": "cni0",
		"isGateway": true, "ipMasq": true, "promiscMode": true, "ipam": ` + dual + `}, ` + portmap + `]}`,
		"1.0.0", false},
	{"containerd, by versions", `{"cniVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"], "name": "containerd-net",
		"plugins": [{"type": "ptp", "ipMasq": true, "ipam": ` + dual + `}]}`, "1.1.0", false},
	{"CRI-O, a bridge", `{"cniVersion": "1.0.0", "name": "crio", "plugins": [{"type": "bridge", "bridge": "cni0",
		"isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": ` + dual + `}]}`, "1.0.0", false},
	{"CRI-O, an old bridge", `{"cniVersion": "0.3.1", "name": "crio", "type": "bridge", "bridge": "cni0",
		"isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": ` + dual + `}`, "0.3.1", true},
	{"CRI-O, loopback", `{"cniVersion": "1.0.0", "name": "loopback", "plugins": [{"type": "loopback"}]}`,
		"1.0.0", false},
	{"an old loopback", `{"cniVersion": "0.4.0", "name": "lo", "type": "loopback"}`, "0.4.0", false},
	{"nerdctl", `{"cniVersion": "1.0.0", "name": "bridge", "nerdctlID": "0a1b2c", "nerdctlLabels":
		{"nerdctl/default-network": "true"}, "plugins": [{"type": "bridge", "bridge": "nerdctl0", "isGateway": true,
		"ipMasq": true, "hairpinMode": true, "ipam": ` + dual + `}, ` + portmap + `,
		{"type": "firewall", "ingressPolicy": "same-bridge"}, {"type": "tuning"}]}`, "1.0.0", false},
	{"podman", `{"cniVersion": "0.4.0", "name": "podman", "plugins": [{"type": "bridge", "bridge": "cni-podman0",
		"isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": ` + dual + `}, ` + portmap + `,
		{"type": "firewall", "backend": ""}, {"type": "tuning"}]}`, "0.4.0", false},
	{"podman, a network of a user", `{"args": {"podman_labels": {"app": "x"}}, "cniVersion": "0.4.0", "name": "lan",
		"plugins": [{"type": "macvlan", "master": "eth1", "capabilities": {"ips": true}, "ipam": {"type": "dhcp"}},
		{"type": "dnsname", "domainName": "dns.podman", "capabilities": {"aliases": true}}]}`, "0.4.0", false},
	{"k3s", `{"name": "cbr0", "cniVersion": "1.0.0", "plugins": [{"type": "flannel", "delegate": {"hairpinMode": true,
		"forceAddress": true, "isDefaultGateway": true}}, ` + portmap + `, ` + bandwidth + `]}`, "1.0.0", false},
	{"flannel", `{"name": "cbr0", "cniVersion": "0.3.1", "plugins": [{"type": "flannel", "delegate":
		{"hairpinMode": true, "isDefaultGateway": true}}, ` + portmap + `]}`, "0.3.1", true},
	{"an old flannel", `{"name": "cbr0", "type": "flannel", "delegate": {"isDefaultGateway": true}}`, "1.0.0", false},
	{"Calico", `{"name": "k8s-pod-network", "cniVersion": "0.3.1", "plugins": [{"type": "calico", "log_level": "info",
		"log_file_path": "/var/log/calico/cni/cni.log", "datastore_type": "kubernetes", "nodename": "node1", "mtu": 0,
		"ipam": {"type": "calico-ipam", "assign_ipv4": "true"}, "container_settings": {"allow_ip_forwarding": false},
		"policy": {"type": "k8s"}, "policy_setup_timeout_seconds": 0,
		"kubernetes": {"kubeconfig": "/etc/cni/net.d/calico-kubeconfig"}}, ` + snatting + `, ` + bandwidth + `]}`,
		"0.3.1", true},
	{"Canal", `{"name": "canal", "cniVersion": "0.3.1", "plugins": [{"type": "calico", "datastore_type": "kubernetes",
		"ipam": {"type": "host-local", "subnet": "usePodCidr"}, "policy": {"type": "k8s"}}, ` + snatting + `]}`,
		"0.3.1", true},
	{"Cilium", `{"cniVersion": "0.3.1", "name": "cilium", "plugins": [{"type": "cilium-cni", "enable-debug": false,
		"log-file": "/var/run/cilium/cilium-cni.log"}]}`, "0.3.1", true},
	{"an old Cilium", `{"cniVersion": "0.3.1", "name": "cilium", "type": "cilium-cni", "enable-debug": false}`,
		"0.3.1", true},
	{"Cilium after another", `{"cniVersion": "0.3.1", "name": "generic-veth", "plugins": [{"type": "ptp", "mtu": 1400,
		"ipam": ` + dual + `}, ` + snatting + `, {"type": "cilium-cni", "chaining-mode": "generic-veth"}]}`,
		"0.3.1", true},
	{"Weave", `{"cniVersion": "0.3.0", "name": "weave", "plugins": [{"name": "weave", "type": "weave-net",
		"hairpinMode": true}, ` + snatting + `]}`, "0.3.0", true},
	{"an old Weave", `{"name": "weave", "type": "weave-net", "hairpinMode": true}`, "1.0.0", false},
	{"kindnet", `{"cniVersion": "0.3.1", "name": "kindnet", "plugins": [{"type": "ptp", "ipMasq": false, "mtu": 1500,
		"ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state", "routes": [{"dst": "0.0.0.0/0"}],
		"ranges": [[{"subnet": "10.244.1.0/24"}]]}}, ` + portmap + `]}`, "0.3.1", true},
	{"kindnet, by itself", `{"cniVersion": "0.4.0", "name": "kindnet", "plugins": [{"type": "cni-kindnet",
		"ranges": ["10.244.1.0/24"], "capabilities": {"portMappings": true}}]}`, "0.4.0", false},
	{"AWS VPC", `{"cniVersion": "0.4.0", "name": "aws-cni", "disableCheck": true, "plugins": [{"name": "aws-cni",
		"type": "aws-cni", "vethPrefix": "eni", "mtu": "9001", "podSGEnforcingMode": "strict",
		"pluginLogFile": "/var/log/aws-routed-eni/plugin.log", "pluginLogLevel": "DEBUG",
		"capabilities": {"io.kubernetes.cri.pod-annotations": true}}, {"name": "egress-cni", "type": "egress-cni",
		"mtu": "9001", "enabled": "false", "randomizeSNAT": "prng", "nodeIP": "", "ipam": {"type": "host-local",
		"ranges": [[{"subnet": "fd00::ac:00/118"}]], "routes": [{"dst": "::/0"}], "dataDir": "/run/cni/v4pd"}},
		` + snatting + `]}`, "0.4.0", true},
	{"AWS VPC, with a string as the boolean", `{"cniVersion": "0.4.0", "name": "aws-cni", "disableCheck": "True",
		"plugins": [{"name": "aws-cni", "type": "aws-cni"}]}`, "0.4.0", true},
	{"Azure", `{"cniVersion": "0.3.0", "name": "azure", "adapterName": "", "plugins": [{"type": "azure-vnet",
		"mode": "transparent", "ipsToRouteViaHost": ["169.254.20.10"],
		"capabilities": {"portMappings": true, "dns": true},
		"ipam": {"type": "azure-vnet-ipam"}, "dns": {"Nameservers": ["10.0.0.10"], "Search": ["svc.cluster.local"]},
		"AdditionalArgs": [{"Name": "EndpointPolicy",
		"Value": {"Type": "OutBoundNAT", "ExceptionList": ["10.0.0.0/8"]}}]},
		` + snatting + `]}`, "0.3.0", true},
	{"Azure with its own IPAM", `{"cniVersion": "1.0.0", "name": "azure", "adapterName": "", "plugins":
		[{"type": "azure-vnet", "executionMode": "v4swift", "multiTenancy": true, "enableExactMatchForPodName": true,
		"ipam": {"mode": "v4overlay", "type": "azure-cns"}}]}`, "1.0.0", false},
	{"GKE", `{"name": "gke-pod-network", "cniVersion": "0.3.1", "plugins": [{"type": "ptp", "mtu": 1460, "ipam":
		{"type": "host-local", "ranges": [[{"subnet": "10.8.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
		` + portmap + `, {"type": "istio-cni", "log_level": "info",
		"kubernetes": {"exclude_namespaces": ["kube-system"]}}]}`,
		"0.3.1", true},
	{"GKE on Cilium", `{"name": "gke-pod-network", "cniVersion": "0.3.1", "disableCheck": "false", "plugins":
		[{"type": "cilium-cni", "enable-debug": true, "ipam": {"type": "host-local", "subnet": "10.8.0.0/24"}}]}`,
		"0.3.1", true},
	{"OVN-Kubernetes", `{"cniVersion": "1.0.0", "name": "ovn-kubernetes", "type": "ovn-k8s-cni-overlay", "ipam": {},
		"dns": {}, "logFile": "/var/log/ovn.log", "logLevel": "4", "logfile-maxsize": 100}`, "1.0.0", false},
	{"kube-router", `{"cniVersion": "0.3.0", "name": "mynet", "plugins": [{"name": "kubernetes", "type": "bridge",
		"mtu": 1480, "bridge": "kube-bridge", "isDefaultGateway": true, "ipam": {"type": "host-local"}}]}`,
		"0.3.0", true},
	{"a tool of tomorrow", `{"cniVersion": "1.9.0", "cniVersions": ["1.0.0", "1.9.0"],
		"name": "later", "disableGC": "TRUE",
		"loadOnlyInlinedPlugins": "true", "disableThis": "maybe", "labels": {"type": "/x"},
		"plugins": [{"type": "later-cni", "key": [{"type": "any thing"}]}]}`, "1.0.0", false},
}

// plugins returns the configurations of the plugins, as they stand.
func (m master) plugins(t *testing.T) []map[string]any {
	t.Helper()
	var list struct{ Plugins []map[string]any }
	must(t, json.Unmarshal([]byte(m.conf), &list))
	if list.Plugins != nil {
		return list.Plugins
	}
	var one map[string]any
	must(t, json.Unmarshal([]byte(m.conf), &one))
	return []map[string]any{one}
}

// podServer serves any Pod, without an annotation, and returns the path of its kubeconfig.
func podServer(t *testing.T) (kubeconfig string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"kind": "PartialObjectMetadata", "metadata": {"name": %q}}`, filepath.Base(r.URL.Path))
	}))
	t.Cleanup(s.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, []byte(`
current-context: c
clusters: [{name: c, cluster: {server: "`+s.URL+`"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
`), 0o600))
	return kubeconfig
}

func TestMasters_AsTheyAreInstalled(t *testing.T) {
	dir, kubeconfig := t.TempDir(), podServer(t)
	types := map[string]bool{}
	for _, m := range masters {
		for _, plugin := range m.plugins(t) {
			types[plugin["type"].(string)] = true
		}
	}
	copySelf(t, dir, types)
	for _, m := range masters {
		t.Run(m.name, func(t *testing.T) {
			ns := netnstest.New(t)
			conf := fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "kactus-net", "type": "kactus", "kubeconfig": %q,
				"cniDir": "%s/ledger", "lockDir": "%[2]s/locks",
				"capabilities": {"portMappings": true, "bandwidth": true},
				"runtimeConfig": {"portMappings": [], "bandwidth": {}, "other": 1}, "delegates": [%s]}`,
				kubeconfig, dir, withKey(m.conf, `"masterPlugin": true`))
			m.validate(t, conf)
			m.live(t, dir, conf, ns)
		})
	}
}

func (m master) validate(t *testing.T, conf string) {
	if got := run(nil, conf, "validate"); got.code != 0 {
		t.Fatalf("validate: %s", got.stdout)
	}
}

// live runs the operations of a Pod's life, and checks what the plugins get.
func (m master) live(t *testing.T, dir, conf string, ns *netnstest.Netns) {
	operate := func(operation, stdin string) string {
		t.Helper()
		got := run(addEnv("CNI_COMMAND", operation, "CNI_NETNS", ns.Path, "CNI_PATH", dir), stdin)
		if got.code != 0 {
			t.Fatalf("%s: %s%s", operation, got.stdout, got.stderr)
		}
		return got.stdout
	}
	result := operate("ADD", conf)
	if !strings.Contains(result, `"cniVersion":"1.0.0"`) || !strings.Contains(result, "10.85.0.7/16") {
		t.Errorf("ADD: got %s", result)
	}
	m.expectCalls(t, "ADD", readCalls(t, dir, "ADD"))

	operate("CHECK", withKey(conf, `"prevResult": `+result))
	checked := readCalls(t, dir, "CHECK")
	if m.unchecked && checked != nil {
		t.Errorf("CHECK of %d plugins", len(checked))
	} else if !m.unchecked {
		m.expectCalls(t, "CHECK", checked)
	}

	operate("DEL", conf)
	deleted := readCalls(t, dir, "DEL")
	slices.Reverse(deleted)
	m.expectCalls(t, "DEL", deleted)
	if left, _ := filepath.Glob(dir + "/ledger/*"); len(left) > 0 || len(ns.Devices(t)) > 0 {
		t.Errorf("left are %v and %v", left, ns.Devices(t))
	}
}

// expectCalls fails unless each plugin of the chain was called once, in turn, with its
// configuration as it stands and what the specification adds to it.
func (m master) expectCalls(t *testing.T, operation string, calls []call) {
	t.Helper()
	plugins := m.plugins(t)
	if len(calls) != len(plugins) {
		t.Fatalf("%s: got %d calls, want %d", operation, len(calls), len(plugins))
	}
	for i, c := range calls {
		var got map[string]any
		must(t, json.Unmarshal(c.Stdin, &got))
		want := maps.Clone(plugins[i])
		want["cniVersion"], want["name"] = m.version, m.networkName(t)
		hasPrev := operation == "ADD" && i > 0 || operation != "ADD" && m.version >= "0.4.0"
		if _, ok := got["prevResult"]; ok != hasPrev {
			t.Errorf("%s of %s: prevResult is there: %v, want %v", operation, c.Plugin, ok, hasPrev)
		}
		delete(got, "prevResult")
		for _, capability := range []string{"portMappings", "bandwidth"} {
			declared, _ := want["capabilities"].(map[string]any)
			runtimeConfig, _ := got["runtimeConfig"].(map[string]any)
			if _, ok := runtimeConfig[capability]; ok != (declared[capability] == true) {
				t.Errorf("%s of %s: runtimeConfig has %s: %v", operation, c.Plugin, capability, ok)
			}
		}
		delete(got, "runtimeConfig")
		if c.Plugin != want["type"] || !reflect.DeepEqual(got, want) {
			t.Errorf("%s of %s: got %v\nwant %v", operation, c.Plugin, got, want)
		}
	}
}

func (m master) networkName(t *testing.T) string {
	t.Helper()
	var list struct{ Name string }
	must(t, json.Unmarshal([]byte(m.conf), &list))
	return list.Name
}
