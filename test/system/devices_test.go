package system

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

const nicResource = "kaloom.com/nic"

// nicPlugin notes what it is told, and does what the plugin bridge does.
const nicPlugin = `#!/bin/sh
netconf=$(cat)
printf '%s\n' "$netconf" >/var/log/nic.$CNI_COMMAND.$CNI_CONTAINERID.$CNI_IFNAME
printf '%s' "$netconf" | /opt/cni/bin/bridge
`

// devices gives devices of a device plugin to Pods, by the kubelets.
func (c *testCluster) devices(t *testing.T) {
	program := c.buildDevicePlugin(t)
	for _, name := range []string{"fast", "faster", "fastest", "one-more"} {
		c.apply(t, fmt.Sprintf(`apiVersion: kaloom.com/v1
kind: Network
metadata: {name: %s, namespace: default, annotations: {k8s.v1.cni.cncf.io/resourceName: %s}}
spec: {plugin: nic, config: '{"bridge": "data-br", "capabilities": {"CNIDeviceInfoFile": true}}'}`, name, nicResource))
	}
	c.onEachNode(func(t *testing.T, node *cluster.Node) {
		if err := os.WriteFile(node.Path("/opt/cni/bin/nic"), []byte(nicPlugin), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(node.Path("/opt/cni/bin/nic")) })
		c.startDevicePlugin(t, node, program)
		c.devicesOn(t, node)
	})(t)
}

func (c *testCluster) buildDevicePlugin(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "deviceplugin")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", c.path("test/deviceplugin"), "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the device plugin: %v\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// startDevicePlugin starts the device plugin on a node until the test ends, and waits until the
// kubelet offers its three devices.
func (c *testCluster) startDevicePlugin(t *testing.T, node *cluster.Node, program []byte) {
	t.Helper()
	const path = "/opt/deviceplugin"
	if err := os.WriteFile(node.Path(path), program, 0o755); err != nil {
		t.Fatal(err)
	}
	pid := c.on(t, node, "sh", "-c",
		path+" -resource "+nicResource+" -ids nic0,nic1,nic2 </dev/null >/var/log/deviceplugin.log 2>&1 & echo $!")
	t.Cleanup(func() {
		if out, err := node.Command(context.Background(), "kill", pid).CombinedOutput(); err != nil {
			t.Errorf("ending the device plugin on %s: %v\n%s", node.Name(), err, out)
		}
		if err := os.Remove(node.Path(path)); err != nil {
			t.Error(err)
		}
	})
	await(t, node.Name()+" offers devices", func() (string, bool) {
		offered := c.kubectl(t, "get", "node", node.Name(), "-o", `jsonpath={.status.allocatable.kaloom\.com/nic}`)
		return offered, offered == "3"
	})
}

// withDevices returns a manifest of a Pod that asks for so many devices.
func withDevices(manifest string, count int) string {
	return strings.Replace(manifest, `image: "busybox:1"`,
		fmt.Sprintf(`image: "busybox:1", resources: {limits: {%s: %d}}`, nicResource, count), 1)
}

// devicesOn gives the three devices of a node to one Pod.
func (c *testCluster) devicesOn(t *testing.T, node *cluster.Node) {
	const two = `[{"name": "faster"}, {"name": "fast"}]`
	const three = `[{"name": "faster"}, {"name": "fast"}, {"name": "fastest"}]`
	fast, faster, fastest := network.DeviceName("fast"), network.DeviceName("faster"), network.DeviceName("fastest")
	pod := "devices-" + node.Name()
	c.apply(t, withDevices(gatedPodManifest(pod, node.Name(), two), 3))
	c.ready(t, "pod/"+pod)
	c.expectInterfaces(t, pod, "eth0", fast, faster)
	c.expectDevice(t, node, "ADD", pod, faster, "nic0")
	c.expectDevice(t, node, "ADD", pod, fast, "nic1")

	c.annotate(t, pod, three)
	c.awaitAttached(t, pod, fast, faster, fastest)
	c.expectDevice(t, node, "ADD", pod, fastest, "nic2")
	id, _ := c.sandbox(t, node, pod)
	info := c.on(t, node, "cat", "/run/k8s.cni.cncf.io/devinfo/cni/"+id+":"+fastest)
	if !strings.Contains(info, `"pci-address":"nic2"`) {
		t.Errorf("the device-info file of fastest has %s", info)
	}
	await(t, "the network-status has the device of fastest", func() (string, bool) {
		status := c.kubectl(t, "get", "pod", pod, "-o",
			`jsonpath={.metadata.annotations.k8s\.v1\.cni\.cncf\.io/network-status}`)
		return status, strings.Contains(status, `"device-info"`) && strings.Contains(status, `"nic2"`)
	})
	c.annotate(t, pod, strings.TrimSuffix(three, "]")+`, {"name": "one-more"}]`)
	c.awaitWarning(t, pod, "FailedAddingInterface", "no device of the resource kaloom.com/nic is left",
		"the Pod has 3, and its networks need 4")
	c.annotate(t, pod, three)
	c.awaitAttached(t, pod, fast, faster, fastest)

	if node.Runtime() == cluster.Containerd { // CRI-O has no process for a sandbox
		c.on(t, node, "ctr", "--namespace=k8s.io", "task", "kill", "--signal=SIGKILL", id)
		await(t, pod+" has a new sandbox", func() (string, bool) {
			held := fmt.Sprint(records(t, node))
			return held, len(records(t, node)) == 1 && !strings.Contains(held, id)
		})
		c.awaitAttached(t, pod, fast, faster, fastest)
		c.expectDevice(t, node, "ADD", pod, fastest, "nic2")
	}
	c.devicesWithoutKubelet(t, node, pod)
	c.kubectl(t, "delete", "pod", pod)
	c.nothingLeftOn(t, node)
	if left := c.on(t, node, "ls", "/run/k8s.cni.cncf.io/devinfo/cni"); left != "" {
		t.Errorf("the device-info files %s are left on %s", left, node.Name())
	}
}

// devicesWithoutKubelet edits the annotation of a Pod that has three devices while its node has no
// kubelet: the ledger knows what a DEL needs, and an ADD waits.
func (c *testCluster) devicesWithoutKubelet(t *testing.T, node *cluster.Node, pod string) {
	t.Helper()
	fast, faster, fastest := network.DeviceName("fast"), network.DeviceName("faster"), network.DeviceName("fastest")
	if err := node.StopKubelet(); err != nil {
		t.Fatal(err)
	}
	c.annotate(t, pod, `[{"name": "fast"}]`)
	c.awaitRecord(t, node, pod, "eth0", fast)
	c.expectDevice(t, node, "DEL", pod, faster, "nic0")
	c.annotate(t, pod, `[{"name": "fast"}, {"name": "fastest"}]`)
	c.awaitWarning(t, pod, "FailedAddingInterface", "ask the kubelet at /var/lib/kubelet/pod-resources/kubelet.sock",
		"is the kubelet running")
	if err := node.StartKubelet(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitAttached(t, pod, fast, fastest)
	c.expectDevice(t, node, "ADD", pod, fastest, "nic0") // which faster has left
}

// expectDevice expects that the plugin nic was told of the device for an interface of the Pod.
func (c *testCluster) expectDevice(t *testing.T, node *cluster.Node, operation, pod, ifName, id string) {
	t.Helper()
	sandbox, _ := c.sandbox(t, node, pod)
	told := c.on(t, node, "cat", "/var/log/nic."+operation+"."+sandbox+"."+ifName)
	if !strings.Contains(told, fmt.Sprintf(`"deviceID":%q`, id)) ||
		!strings.Contains(told, fmt.Sprintf(`"pciBusID":%q`, id)) {
		t.Errorf("%s of %s in %s was told %s, want the device %s", operation, ifName, pod, told, id)
	}
}
