package system

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// TestDefaultNetwork_OnNodes lets the owners of the default network come, go, and change it, while
// kactus is there.
func TestDefaultNetwork_OnNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a cluster")
	}
	c := newTestCluster(t)
	c.installStandIns(t)
	c.kubectl(t, "apply", "-k", "manifests")
	c.networks(t)
	for _, tt := range []struct {
		behavior string
		test     func(*testing.T)
	}{
		{"one that comes after kactus costs no Pod its networks", c.onNodes(c.defaultComesLater)},
		{"each kind takes the place of the one before", c.onNodes(c.defaultsReplaced)},
		{"one whose file is away for a while stays", c.onNodes(c.defaultAway)},
		{"one that changes its version or its file's name is followed", c.onNodes(c.defaultChanges)},
		{"another one that sorts before it is taken", c.onNodes(c.defaultPreceded)},
		{"Cilium's exclusive mode is named, and ends", c.onNodes(c.ciliumIsExclusive)},
		{"kactus's netconf of an earlier version is replaced", c.onNodes(c.earlierNetconf)},
		{"Multus's configuration is passed over", c.onNodes(c.defaultBesideMultus)},
		{"a dry run shows what would be written", c.onNodes(c.dryRun)},
		{"one that the ConfigMap names is taken", c.namedDefault},
		{"a node that boots before the owner of the default network has it", c.onNodes(c.defaultAfterReboot)},
		{"Pods from before kactus are told apart, and end without a trace", c.podsBeforeKactus},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					c.logState(t)
				}
			}()
			tt.test(t)
		})
	}
	c.cleanUp(t)
}

func (c *testCluster) installStandIns(t *testing.T) {
	t.Helper()
	for _, node := range c.Nodes() {
		for _, d := range []defaultNetwork{calicoNetwork, ciliumNetwork} {
			ipam := strings.ReplaceAll(fmt.Sprintf(hostLocal, d.subnet(node)), " ", "")
			plugin := strings.ReplaceAll(standIn, "IPAM", ipam)
			name := map[string]string{"cilium": "cilium-cni"}[d.name]
			if name == "" {
				name = "calico"
				c.writeFile(t, node, "/opt/cni/bin/calico-ipam", "#!/bin/sh\nexit 1\n")
			}
			c.writeFile(t, node, "/opt/cni/bin/"+name, plugin)
		}
	}
}

// defaultComesLater has Pods wait for a node whose default network comes last, as on a new node.
func (c *testCluster) defaultComesLater(t *testing.T, node *cluster.Node) {
	await(t, "kactus waits on "+node.Name(), func() (string, bool) {
		health := c.health(t, node)
		return health, strings.Contains(health, "503") && strings.Contains(health, "no configuration of one")
	})
	if _, err := os.Stat(node.Path(netconfPath)); err == nil {
		t.Error("there is a netconf without a default network")
	}
	var pods []string
	for n := range 6 {
		pods = append(pods, fmt.Sprintf("early%d-%s", n, node.Name()))
		c.apply(t, podManifest(pods[n], node.Name(), greenAndData))
	}
	flannelNetwork.write(t, node)
	for _, pod := range pods {
		c.ready(t, "pod/"+pod)
		c.expectInterfaces(t, pod, "eth0", green, data)
	}
	c.awaitDefault(t, node, flannelNetwork)
	c.kubectl(t, append([]string{"delete", "pod"}, pods...)...)
	c.nothingLeftOn(t, node)
}

// defaultsReplaced ends with the first one.
func (c *testCluster) defaultsReplaced(t *testing.T, node *cluster.Node) {
	old := flannelNetwork
	for _, d := range []defaultNetwork{
		bridgeNetwork, ptpNetwork, listNetwork, calicoNetwork, ciliumNetwork, flannelNetwork,
	} {
		t.Run(old.name+" becomes "+d.name, func(t *testing.T) { c.replaceDefault(t, node, old, d) })
		old = d
	}
}

// replaceDefault removes a default network and brings another. A Pod that has the one loses it at
// its end, as if nothing had happened; a Pod that starts has the other.
func (c *testCluster) replaceDefault(t *testing.T, node *cluster.Node, old, d defaultNetwork) {
	before := c.podOn(t, node, "before", greenAndData)
	c.expectWhole(t, node, before, old)
	must(t, os.Remove(old.path(node)))
	d.write(t, node)
	c.awaitDefault(t, node, d)
	after := c.podOn(t, node, "after", greenAndData)
	c.expectWhole(t, node, after, d)
	if d.portMappings {
		c.hostPort(t, node)
		c.kubectl(t, "delete", "pod", "port-"+node.Name())
	}
	c.annotate(t, before, `[{"name": "blue"}, {"name": "data"}]`)
	c.awaitAttached(t, before, blue, data)
	c.expectDefault(t, node, before, old, blue, data)
	c.kubectl(t, "delete", "pod", before)
	await(t, "the leases are those of the other Pod", func() (string, bool) {
		leases := append(leasesOf(t, node, old.name), leasesOf(t, node, d.name)...)
		return fmt.Sprint(leases), len(leases) == 1 && strings.HasPrefix(leases[0], d.prefix(node))
	})
	c.expectWhole(t, node, after, d)
	c.kubectl(t, "delete", "pod", after)
	c.nothingLeftOn(t, node)
}

// defaultAway removes the file of the default network, and cuts it short, as long as several Pods
// start.
func (c *testCluster) defaultAway(t *testing.T, node *cluster.Node) {
	c.whileWholePodsStart(t, node, func() {
		must(t, os.Remove(flannelNetwork.path(node)))
		c.awaitHealth(t, node, "200 OK", "kept as it was", "10-flannel.conflist")
		must(t, os.WriteFile(flannelNetwork.path(node), []byte(flannelNetwork.config[:40]), 0o644))
		c.awaitHealth(t, node, "200 OK", "kept as it was", "passed over")
		c.podOn(t, node, "meanwhile", greenAndData)
		flannelNetwork.write(t, node)
		await(t, "nothing is odd on "+node.Name(), func() (string, bool) {
			health := c.health(t, node)
			return health, strings.Contains(health, "200 OK") && !strings.Contains(health, "kept")
		})
	}, flannelNetwork)
	c.kubectl(t, "delete", "pod", "meanwhile-"+node.Name())
	c.nothingLeftOn(t, node)
}

// defaultChanges changes what the owner of a default network may at an upgrade.
func (c *testCluster) defaultChanges(t *testing.T, node *cluster.Node) {
	c.whileWholePodsStart(t, node, func() {
		newer := flannelNetwork
		newer.config = strings.Replace(newer.config, "0.3.1", "0.4.0", 1)
		newer.write(t, node)
		await(t, "the netconf has the newer version", func() (string, bool) {
			content, err := os.ReadFile(node.Path(netconfPath))
			return fmt.Sprintf("%s (%v)", content, err), !strings.Contains(string(content), "0.3.1")
		})
		c.podOn(t, node, "newer", greenAndData)

		single := defaultNetwork{"10-flannel.conf", "cbr0", `{"name": "cbr0", "cniVersion": "0.3.1", "type": "flannel",
			"delegate": {"hairpinMode": true, "isDefaultGateway": true}}`, 0, false}
		single.write(t, node)
		must(t, os.Remove(newer.path(node)))
		c.awaitDefault(t, node, single)
		c.podOn(t, node, "single", greenAndData)

		must(t, os.Remove(single.path(node)))
		flannelNetwork.write(t, node)
		c.awaitDefault(t, node, flannelNetwork)
	}, flannelNetwork)
	c.kubectl(t, "delete", "pod", "newer-"+node.Name(), "single-"+node.Name())
	c.nothingLeftOn(t, node)
}

// defaultPreceded brings another default network while the first one stays, and removes it again.
func (c *testCluster) defaultPreceded(t *testing.T, node *cluster.Node) {
	pod := c.podOn(t, node, "first", greenAndData)
	c.whileWholePodsStart(t, node, func() {
		ciliumNetwork.write(t, node)
		c.awaitDefault(t, node, ciliumNetwork)
		c.expectWhole(t, node, c.podOn(t, node, "second", greenAndData), ciliumNetwork)
		must(t, os.Remove(ciliumNetwork.path(node)))
		c.awaitHealth(t, node, "kept as it was", "10-flannel.conflist")
		c.awaitDefault(t, node, flannelNetwork) // after a minute
	}, ciliumNetwork, flannelNetwork)
	c.expectWhole(t, node, pod, flannelNetwork)
	c.kubectl(t, "delete", "pod", pod, "second-"+node.Name())
	c.nothingLeftOn(t, node)
}

// ciliumIsExclusive renames kactus's netconf as Cilium's agent does, for as long as /healthz does
// not say so, and a little longer.
func (c *testCluster) ciliumIsExclusive(t *testing.T, node *cluster.Node) {
	path := node.Path(netconfPath)
	renamed := 0
	rename := func() {
		if os.Rename(path, path+".cilium_bak") == nil {
			renamed++
		}
	}
	for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		rename()
	}
	c.awaitHealth(t, node, "503", "cni.exclusive", "cilium_bak")
	if renamed < 2 {
		t.Errorf("the netconf was written again only %d times", renamed-1)
	}
	await(t, "the netconf is back", func() (string, bool) {
		files, err := filepath.Glob(path + "*")
		return fmt.Sprint(files, err), len(files) == 1 && files[0] == path
	})
	c.awaitDefault(t, node, flannelNetwork)
	pod := c.podOn(t, node, "exclusive", greenAndData)
	c.expectWhole(t, node, pod, flannelNetwork)
	c.awaitHealth(t, node, "200 OK", "installed") // a minute after the last time
	c.kubectl(t, "delete", "pod", pod)
	c.nothingLeftOn(t, node)
}

// earlierNetconf puts what an earlier version of kactus installed into the place of the netconf.
func (c *testCluster) earlierNetconf(t *testing.T, node *cluster.Node) {
	earlier := node.Path("/etc/cni/net.d/05-kactus.conf")
	netconf, err := os.ReadFile(node.Path(netconfPath))
	must(t, err)
	c.whileWholePodsStart(t, node, func() {
		must(t, os.WriteFile(earlier, netconf, 0o600))
		must(t, os.Remove(node.Path(netconfPath)))
		await(t, "the netconf is there under its own name", func() (string, bool) {
			files, err := filepath.Glob(node.Path("/etc/cni/net.d/*kactus.conf"))
			return fmt.Sprint(files, err), len(files) == 1 && files[0] == node.Path(netconfPath)
		})
	}, flannelNetwork)
	c.awaitDefault(t, node, flannelNetwork)
	c.nothingLeftOn(t, node)
}

// defaultBesideMultus has Multus's configuration before that of the default network.
func (c *testCluster) defaultBesideMultus(t *testing.T, node *cluster.Node) {
	c.writeFile(t, node, multusConfPath, multusConf)
	defer os.Remove(node.Path(multusConfPath))
	must(t, os.Remove(node.Path(netconfPath)))
	c.awaitDefault(t, node, flannelNetwork)
	pod := c.podOn(t, node, "multus", greenAndData)
	c.expectWhole(t, node, pod, flannelNetwork)
	c.kubectl(t, "delete", "pod", pod)
	c.nothingLeftOn(t, node)
}

// dryRun asks what another default network would change, by its name and by its file.
func (c *testCluster) dryRun(t *testing.T, node *cluster.Node) {
	before, err := os.ReadFile(node.Path(netconfPath))
	must(t, err)
	ptpNetwork.write(t, node)
	run := func(args ...string) string {
		return c.kubectl(t, append([]string{"-n", "kube-system", "exec", c.installer(t, node), "--",
			"/kactus", "install", "-dry-run"}, args...)...)
	}
	if got := run(); !strings.Contains(got, "nothing to do") || !strings.Contains(got, flannelNetwork.file) {
		t.Errorf("a dry run says %q; want that there is nothing to do, and the default network", got)
	}
	for _, named := range []string{ptpNetwork.name, ptpNetwork.file} {
		got := run("-default-network=" + named)
		for _, want := range []string{"would write " + netconfPath, ptpNetwork.file, `"type": "ptp"`} {
			if !strings.Contains(got, want) {
				t.Errorf("a dry run with %s says %q; want %q", named, got, want)
			}
		}
	}
	must(t, os.Remove(ptpNetwork.path(node)))
	if after, err := os.ReadFile(node.Path(netconfPath)); err != nil || string(after) != string(before) {
		t.Errorf("after dry runs the netconf is %s (%v); want %s", after, err, before)
	}
}

// namedDefault names a default network that another one precedes, and then none.
func (c *testCluster) namedDefault(t *testing.T) {
	setDefault := func(name string) {
		c.kubectl(t, "-n", "kube-system", "patch", "configmap", "kactus", "-p",
			`{"data": {"default-network": "`+name+`"}}`)
	}
	for _, node := range c.Nodes() {
		ptpNetwork.write(t, node)
	}
	setDefault(ptpNetwork.name)
	t.Run("by its name", c.onNodes(func(t *testing.T, node *cluster.Node) {
		c.awaitDefault(t, node, ptpNetwork)
		pod := c.podOn(t, node, "named", greenAndData)
		c.expectWhole(t, node, pod, ptpNetwork)
		c.kubectl(t, "delete", "pod", pod)
	}))
	setDefault("auto")
	t.Run("and no longer", c.onNodes(func(t *testing.T, node *cluster.Node) {
		c.awaitDefault(t, node, flannelNetwork)
		must(t, os.Remove(ptpNetwork.path(node)))
		c.nothingLeftOn(t, node)
	}))
}

// defaultAfterReboot reboots a node whose default network has its file in a place that a reboot
// clears, or whose owner writes it at its own start.
func (c *testCluster) defaultAfterReboot(t *testing.T, node *cluster.Node) {
	pod := c.podOn(t, node, "survivor", greenAndData)
	must(t, os.Remove(flannelNetwork.path(node)))
	must(t, node.Reboot(t.Context()))
	c.kubectl(t, "wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=90s", "pod/"+pod)
	c.whileWholePodsStart(t, node, func() {
		c.awaitHealth(t, node, "200 OK", "kept as it was")
		flannelNetwork.write(t, node)
		c.awaitHealth(t, node, "200 OK", "installed")
	}, flannelNetwork)
	c.ready(t, "pod/"+pod)
	c.expectWhole(t, node, pod, flannelNetwork)
	c.kubectl(t, "delete", "pod", pod)
	c.nothingLeftOn(t, node)
}

// podsBeforeKactus removes kactus, starts Pods with the default network alone, and installs kactus
// again, which has no record of them.
func (c *testCluster) podsBeforeKactus(t *testing.T) {
	c.kubectl(t, "-n", "kube-system", "delete", "daemonset", "kactus-agent", "kactus", "--cascade=foreground", "--wait")
	t.Run("start", c.onNodes(func(t *testing.T, node *cluster.Node) {
		c.on(t, node, "/opt/cni/bin/kactus", "install", "-uninstall")
		c.restartRuntime(t, node)
		c.expectDefault(t, node, c.podOn(t, node, "older", greenAndData), flannelNetwork)
	}))
	c.kubectl(t, "apply", "-k", "manifests")
	t.Run("end", c.onNodes(func(t *testing.T, node *cluster.Node) {
		c.awaitDefault(t, node, flannelNetwork)
		pod := "older-" + node.Name()
		c.awaitCondition(t, pod, "UnknownPod")
		c.kubectl(t, "delete", "pod", pod)
		c.nothingLeftOn(t, node)
		newer := c.podOn(t, node, "newer", greenAndData)
		c.expectWhole(t, node, newer, flannelNetwork)
		c.kubectl(t, "delete", "pod", newer)
		c.nothingLeftOn(t, node)
	}))
}
