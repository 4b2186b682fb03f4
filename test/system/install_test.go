package system

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

const netconfPath = "/etc/cni/net.d/05-kactus.conf"

// install begins with nodes that have no CNI configuration, one of which lacks the master delegate's plugin as well.
func (s *site) install(t *testing.T) {
	one, two := s.Nodes()[0], s.Nodes()[1]
	s.isReady(t, one, false)
	s.isReady(t, two, false)
	flannel := two.Path("/opt/cni/bin/flannel")
	if err := os.Rename(flannel, flannel+".later"); err != nil {
		t.Fatal(err)
	}

	s.kubectl(t, "apply", "-k", "manifests")
	s.kubectl(t, "wait", "--for=condition=Ready", "node/"+one.Name(), "--timeout=90s")
	await(t, "the installer says what node2 lacks", func() (string, bool) {
		log, _ := s.Kubectl(t.Context(), "-n", "kube-system", "logs", s.installer(t, two)).CombinedOutput()
		return string(log), strings.Contains(string(log), "/opt/cni/bin/flannel: no such file")
	})
	s.isReady(t, two, false)
	if _, err := os.Stat(two.Path(netconfPath)); err == nil {
		t.Error("node2 has a netconf that no Pod could start with")
	}
	if err := os.Rename(flannel+".later", flannel); err != nil {
		t.Fatal(err)
	}
	s.installed(t)
	s.rolledOutInstaller(t)

	for _, node := range s.Nodes() {
		for path, want := range map[string]string{
			"/opt/cni/bin/kactus": "755",
			netconfPath:           "600",
			"/etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml": "600",
			"/etc/cni/net.d/kactus.d":                        "700",
		} {
			if got := s.on(t, node, "stat", "-c", "%a", path); got != want {
				t.Errorf("%s on %s has the mode %s, want %s", path, node.Name(), got, want)
			}
		}
	}
	got, want := s.on(t, one, "/opt/cni/bin/kactus", "version"), s.output(t, s.binary(), "version")
	if got != want {
		t.Errorf("node1 has kactus %s, the image %s", got, want)
	}
}

// status takes a plugin away from a node whose netconf is of the version that has STATUS: the runtime asks every few seconds.
func (s *site) status(t *testing.T) {
	node := s.Nodes()[0]
	s.setVersion(t, node, "1.1.0")
	plugin := node.Path("/opt/cni/bin/flannel")
	if err := os.Rename(plugin, plugin+".away"); err != nil {
		t.Fatal(err)
	}
	await(t, "node1 says that kactus is not ready", func() (string, bool) {
		said := s.kubectl(t, "get", "node", node.Name(), "-o", `jsonpath={.status.conditions[?(@.type=="Ready")]}`)
		return said, strings.Contains(said, `"False"`) && strings.Contains(said, "flannel")
	})
	if err := os.Rename(plugin+".away", plugin); err != nil {
		t.Fatal(err)
	}
	s.nodesReady(t)
	s.apply(t, podManifest("fit", node.Name(), ""))
	s.ready(t, "pod/fit")
	s.setVersion(t, node, "1.0.0")
}

// setVersion waits until the installer has brought a change of the ConfigMap to a node, for which the kubelet takes up to a minute.
func (s *site) setVersion(t *testing.T, node *cluster.Node, version string) {
	t.Helper()
	netconf := s.kubectl(t, "-n", "kube-system", "get", "configmap", "kactus", "-o", `jsonpath={.data.05-kactus\.conf}`)
	changed := regexp.MustCompile(`"cniVersion": "1[.0-9]*"`).ReplaceAllString(netconf, `"cniVersion": "`+version+`"`)
	patch, err := json.Marshal(map[string]any{"data": map[string]string{"05-kactus.conf": changed}})
	if err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "-n", "kube-system", "patch", "configmap", "kactus", "-p", string(patch))
	await(t, node.Name()+" has the netconf of "+version, func() (string, bool) {
		installed, err := os.ReadFile(node.Path(netconfPath))
		return string(installed), err == nil && strings.TrimSpace(string(installed)) == changed // kubectl's answer is trimmed
	})
}

func (s *site) isReady(t *testing.T, node *cluster.Node, want bool) {
	t.Helper()
	status := s.kubectl(t, "get", "node", node.Name(), "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	if (status == "True") != want {
		t.Errorf("%s is ready: %s", node.Name(), status)
	}
}

// installer is the name of the DaemonSet's Pod on a node; empty where there is none yet.
func (s *site) installer(t *testing.T, node *cluster.Node) string {
	t.Helper()
	return s.kubectl(t, "-n", "kube-system", "get", "pods", "-l", "app.kubernetes.io/name=kactus", "--field-selector", "spec.nodeName="+node.Name(), "-o", "jsonpath={.items[*].metadata.name}")
}

func (s *site) rolledOutInstaller(t *testing.T) {
	t.Helper()
	s.kubectl(t, "-n", "kube-system", "rollout", "status", "daemonset/kactus", "--timeout=120s")
}

func (s *site) output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return strings.TrimSpace(string(out))
}

// uninstall is what the README says: away with the DaemonSet, then a command on each node, then the rest.
func (s *site) uninstall(t *testing.T) {
	s.kubectl(t, "-n", "kube-system", "delete", "daemonset", "kactus", "--wait")
	for _, node := range s.Nodes() {
		await(t, "the installer has ended on "+node.Name(), func() (string, bool) {
			pod := s.installer(t, node)
			return pod, pod == ""
		})
		s.on(t, node, "/opt/cni/bin/kactus", "install", "-uninstall")
		for _, path := range []string{"/opt/cni/bin/kactus", netconfPath, "/etc/cni/net.d/kactus.d"} {
			if _, err := os.Lstat(node.Path(path)); err == nil {
				t.Errorf("%s is still on %s", path, node.Name())
			}
		}
	}
	await(t, "the nodes are not ready for Pods", func() (string, bool) {
		status := s.kubectl(t, "get", "nodes", "-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`)
		return status, status == "False False"
	})
	s.kubectl(t, "delete", "-k", "manifests", "--ignore-not-found")
	s.kubectl(t, "apply", "-f", "manifests/network-crd.yaml") // what follows each test deletes Networks
	s.kubectl(t, "wait", "--for=condition=Established", "crd/networks.kaloom.com")
}
