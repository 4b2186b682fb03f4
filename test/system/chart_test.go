package system

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

const (
	// beforeChart are the manifests before there was a chart, which spell out the default network.
	beforeChart = "test/system/testdata/before-chart.yaml"
	// helmChart is the chart's directory.
	helmChart = "manifests/chart/kactus"
)

// TestChart_OnNodes goes through the life of a cluster, from the manifests before there was a chart
// to the removal of the chart. Pods start all the time.
func TestChart_OnNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a cluster")
	}
	binaries, err := cluster.Build(t.Context(), os.Stderr, cluster.Helm)
	must(t, err)
	c := chartCluster{newTestCluster(t), binaries[cluster.Helm]}
	for _, node := range c.Nodes() {
		must(t, node.InstallFlannel())
	}
	c.kubectl(t, "apply", "-f", beforeChart)
	c.nodesReady(t)
	c.settled(t)
	c.networks(t)
	for _, tt := range []struct {
		behavior string
		test     func(*testing.T)
	}{
		{"kubectl apply -k updates the manifests from before, and back", c.kustomized},
		{"the chart takes over what kubectl created, and gives it back", c.adopted},
		{"helm upgrade, and rollback", c.upgraded},
		{"a version that cannot install is rolled back from its first node", c.rolledBack},
		{"helm uninstall leaves Networks and nodes that start Pods", c.uninstalled},
		{"kactus is removed from the nodes as in the chart's README", c.removedFromNodes},
		{"helm install, and an uninstall that keeps nothing", c.installedAnew},
	} {
		if !t.Run(tt.behavior, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					c.logState(t)
				}
			}()
			tt.test(t)
			c.noSandboxFailed(t)
		}) {
			break // the next one begins where this one ends
		}
	}
}

// A chartCluster is a cluster, and the helm that installs the chart.
type chartCluster struct {
	*testCluster
	binary string
}

// helm runs helm as the administrator, for the release kactus in the namespace kube-system.
func (c chartCluster) helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.tryHelm(t, args...)
	if err != nil {
		t.Fatalf("helm %q: %v\n%s", args, err, out)
	}
	return out
}

func (c chartCluster) tryHelm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.binary, append(args, "--namespace=kube-system")...)
	home := filepath.Join(c.Dir(), "helm")
	cmd.Env = append(c.Kubectl(t.Context()).Environ(), "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home,
		"HELM_CACHE_HOME="+home)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// settled waits until both DaemonSets are up to date on every node, and nothing of the last version
// is left.
func (c chartCluster) settled(t *testing.T) {
	t.Helper()
	for _, name := range []string{"kactus", "kactus-agent"} { // two rollouts at once, on a busy machine
		c.kubectl(t, "-n=kube-system", "rollout", "status", "daemonset/"+name, "--timeout="+rolloutLimit)
	}
	await(t, "each node has one installer", func() (string, bool) {
		now := c.installers(t)
		return fmt.Sprint(now), len(now) == len(c.Nodes())
	})
}

// whileUpdated changes what is installed while Pods start, and waits until the change is everywhere
// and some Pods have started since.
func (c chartCluster) whileUpdated(t *testing.T, what string, change func()) {
	t.Helper()
	var started atomic.Int32
	c.whilePodsStart(t, &started, func() {
		change()
		c.settled(t)
		done := started.Load()
		await(t, "Pods start afterwards", func() (string, bool) {
			return fmt.Sprint(started.Load()), t.Failed() || started.Load() >= done+2*int32(len(c.Nodes()))
		})
	})
	t.Logf("%s: %d Pods started meanwhile", what, started.Load())
	c.noSandboxFailed(t)
}

// installedNetconf requires words in the netconf on each node.
func (c chartCluster) installedNetconf(t *testing.T, words ...string) {
	t.Helper()
	for _, node := range c.Nodes() {
		netconf := c.on(t, node, "cat", netconfPath)
		for _, word := range words {
			if !strings.Contains(netconf, word) {
				t.Errorf("the netconf of %s is without %s:\n%s", node.Name(), word, netconf)
			}
		}
	}
}

func (c chartCluster) kustomized(t *testing.T) {
	c.installedNetconf(t, `"masterPlugin": true`) // as it is written in the ConfigMap
	c.whileUpdated(t, "to the manifests", func() { c.kubectl(t, "apply", "-k", "manifests") })
	c.installedNetconf(t, "masterPlugin", "flannel", "hairpinMode")
	c.whileUpdated(t, "back", func() { c.kubectl(t, "apply", "-f", beforeChart) })
	c.installedNetconf(t, `"masterPlugin": true`)
}

func (c chartCluster) adopted(t *testing.T) {
	if out, err := c.tryHelm(t, "install", "kactus", helmChart); err == nil ||
		!strings.Contains(out, "cannot be imported") {
		t.Fatalf("helm install takes objects over without being asked to: %v\n%s", err, out)
	}
	adopt := []string{"install", "kactus", helmChart, "--take-ownership", "--force-conflicts"}
	c.whileUpdated(t, "to the chart", func() { c.helm(t, adopt...) })
	c.installedNetconf(t, "masterPlugin", "flannel", "hairpinMode")
	c.whileUpdated(t, "back", func() {
		c.kubectl(t, "apply", "-f", beforeChart)
		c.kubectl(t, "-n", "kube-system", "delete", "secret", "-l", "owner=helm,name=kactus")
	})
	c.installedNetconf(t, `"masterPlugin": true`)
	c.whileUpdated(t, "to the chart again", func() { c.helm(t, adopt...) })
}

func (c chartCluster) upgraded(t *testing.T) {
	c.whileUpdated(t, "upgrade", func() {
		out := c.helm(t, "upgrade", "kactus", helmChart, "--reset-then-reuse-values", "--wait",
			"--set=netconf.logLevel=debug,agent.repair=false,installer.podLabels.upgraded=yes")
		for _, note := range []string{"rollout status daemonset/kactus", "-conf-dir=/host/etc/cni/net.d"} {
			if !strings.Contains(out, note) {
				t.Errorf("the notes are without %q: %s", note, out)
			}
		}
	})
	c.installedNetconf(t, `"logLevel"`, "debug", "flannel")
	if args := c.kubectl(t, "-n=kube-system", "get", "pods", "-l", "app.kubernetes.io/name=kactus-agent", "-o",
		"jsonpath={.items[*].spec.containers[0].args}"); strings.Count(args, "-repair=false") != len(c.Nodes()) {
		t.Errorf("the agents have the arguments %s", args)
	}
	c.whileUpdated(t, "rollback", func() { c.helm(t, "rollback", "kactus", "--wait") })
	for _, node := range c.Nodes() {
		if netconf := c.on(t, node, "cat", netconfPath); strings.Contains(netconf, "logLevel") {
			t.Errorf("the netconf of %s after the rollback:\n%s", node.Name(), netconf)
		}
	}
}

func (c chartCluster) rolledBack(t *testing.T) {
	before := c.installedFiles(t)
	c.whileUpdated(t, "a version that cannot install", func() {
		out, err := c.tryHelm(t, "upgrade", "kactus", helmChart, "--rollback-on-failure", "--timeout=20s",
			"--set=installer.extraArgs={-server=https://127.0.0.1:1}")
		if err == nil {
			t.Errorf("helm upgrade succeeded: %s", out)
		}
	})
	if after := c.installedFiles(t); after != before {
		t.Errorf("the nodes have other files: %s, were %s", after, before)
	}
	c.kubectl(t, "get", "networks.kaloom.com", "green", "data")
}

func (c chartCluster) uninstalled(t *testing.T) {
	c.helm(t, "uninstall", "kactus", "--wait")
	c.helm(t, "install", "kactus", helmChart, "--wait") // which finds what was kept
	c.settled(t)
	out := c.helm(t, "uninstall", "kactus", "--wait")
	for _, kept := range []string{"[CustomResourceDefinition] networks.kaloom.com", "[ServiceAccount] kactus",
		"[ClusterRole] kactus", "[ClusterRoleBinding] kactus"} {
		if !strings.Contains(out, kept) {
			t.Errorf("helm does not say that it keeps %s: %s", kept, out)
		}
	}
	c.kubectl(t, "get", "networks.kaloom.com", "green", "data")
	await(t, "the installers and agents have ended", func() (string, bool) {
		pods := c.kubectl(t, "-n", "kube-system", "get", "pods", "-o", "name")
		return pods, pods == ""
	})
	c.startAndRemovePods(t)
	pod := c.podOn(t, c.Nodes()[0], "after", greenAndData)
	c.expectInterfaces(t, pod, "eth0", green, data)
	c.kubectl(t, "delete", "pod", pod)
}

// removedFromNodes runs the commands of the chart's README.
func (c chartCluster) removedFromNodes(t *testing.T) {
	for _, node := range c.Nodes() {
		c.kubectl(t, "drain", "--ignore-daemonsets", "--delete-emptydir-data", "node/"+node.Name())
		c.kubectl(t, "debug", "node/"+node.Name(), "-n=kube-system", "--profile=sysadmin", "--image=kactus:latest",
			"--image-pull-policy=IfNotPresent", "--attach", "--",
			"/kactus", "install", "-uninstall", "-bin-dir=/host/opt/cni/bin", "-conf-dir=/host/etc/cni/net.d")
		c.kubectl(t, "uncordon", "node/"+node.Name())
		for _, path := range []string{
			"/opt/cni/bin/kactus", "/opt/cni/bin/null", netconfPath, "/etc/cni/net.d/kactus.d",
		} {
			if _, err := os.Lstat(node.Path(path)); err == nil {
				t.Errorf("%s still exists on %s", path, node.Name())
			}
		}
		pod := c.podOn(t, node, "without-kactus", greenAndData)
		c.expectInterfaces(t, pod, "eth0")
		c.kubectl(t, "delete", "pod", pod)
	}
	c.kubectl(t, "-n", "kube-system", "delete", "serviceaccount", "kactus")
	c.kubectl(t, "delete", "clusterrole,clusterrolebinding", "kactus")
	c.kubectl(t, "-n", "kube-system", "delete", "pods", "--all") // of kubectl debug
}

func (c chartCluster) installedAnew(t *testing.T) {
	c.helm(t, "install", "kactus", helmChart, "--wait", "--set=crds.keep=false,serviceAccount.keep=false")
	c.settled(t)
	pod := c.podOn(t, c.Nodes()[1], "anew", greenAndData)
	c.expectInterfaces(t, pod, "eth0", green, data)
	c.kubectl(t, "delete", "pod", pod)
	c.helm(t, "uninstall", "kactus", "--wait")
	await(t, "nothing of kactus is left in the cluster", func() (string, bool) {
		left := c.kubectl(t, "get", "-o=name", "customresourcedefinitions,clusterroles,clusterrolebindings,"+
			"validatingadmissionpolicies,validatingadmissionpolicybindings") + "\n" +
			c.kubectl(t, "-n=kube-system", "get", "-o=name",
				"serviceaccounts,roles,rolebindings,configmaps,secrets,daemonsets,pods")
		return left, !strings.Contains(left, "kactus") && !strings.Contains(left, "kaloom")
	})
}
