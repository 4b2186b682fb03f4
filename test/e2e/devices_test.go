package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/deviceinfo"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kubelettest"
)

const nicResource = "kaloom.com/nic"

// newDeviceTenant returns a tenant whose networks green and blue need a device of the resource. The
// plugin nic notes what it is told.
func newDeviceTenant(t *testing.T) *kactustest.Tenant {
	t.Helper()
	tn := kactustest.NewTenant(t)
	tn.AddScript(t, "nic", `cat >`+tn.Dir+`/$CNI_COMMAND.$CNI_IFNAME; echo '{"cniVersion":"1.0.0"}'`)
	for _, name := range []string{"green", "blue"} {
		o := kactustest.NetworkObject(name, kactustest.NetworkSpec{
			Config: `{"type": "nic", "capabilities": {"CNIDeviceInfoFile": true}}`})
		o.Metadata.Annotations = map[string]string{"k8s.v1.cni.cncf.io/resourceName": nicResource}
		kactustest.Create(t, kactustest.NetworksPath(tn.Namespace), o)
	}
	return tn
}

// expectDevice fails unless the plugin nic was told of the device.
func expectDevice(t *testing.T, tn *kactustest.Tenant, operation, ifName, id string) {
	t.Helper()
	told, err := os.ReadFile(filepath.Join(tn.Dir, operation+"."+ifName))
	kactustest.Must(t, err)
	if !strings.Contains(string(told), fmt.Sprintf(`"deviceID":%q`, id)) ||
		!strings.Contains(string(told), fmt.Sprintf(`"pciBusID":%q`, id)) {
		t.Errorf("%s of %s was told %s, want the device %s", operation, ifName, told, id)
	}
}

func TestDevices_OfADevicePlugin(t *testing.T) {
	t.Parallel()
	tn := newDeviceTenant(t)
	var p *kactustest.Pod
	var calls atomic.Int32
	tn.Conf.PodResourcesSocket = kubelettest.Serve(t, func(string, []byte) kubelettest.Answer {
		calls.Add(1)
		return kubelettest.Answer{Message: kubelettest.Encode(kubelettest.Pod{
			Namespace: p.Namespace, Name: p.Name,
			Containers: []kubelettest.Container{
				{Devices: [][2]string{{nicResource, p.Name + "-1"}, {"kaloom.com/other", "x"}}},
				{Devices: [][2]string{{nicResource, p.Name + "-0"}}},
			},
		})}
	})
	plain := tn.NewPod(t, `[]`)
	plain.Add(t)
	plain.Del(t)
	if calls.Load() != 0 {
		t.Errorf("the kubelet was asked %d times for a Pod without devices", calls.Load())
	}

	p = tn.NewPod(t, `[{"name": "green"}]`)
	info := filepath.Join(deviceinfo.DefaultDir, "dp", "kaloom.com-nic-"+p.Name+"-0-device.json")
	kactustest.Must(t, os.MkdirAll(filepath.Dir(info), 0o755))
	kactustest.Must(t, os.WriteFile(info, []byte(`{"type":"pci","version":"1.1.0"}`), 0o644))
	t.Cleanup(func() { _ = os.Remove(info) })
	p.Add(t)
	expectDevice(t, tn, "ADD", kactustest.GreenIfName, p.Name+"-0")
	file := deviceinfo.Dir(deviceinfo.DefaultDir).Path(p.ID, kactustest.GreenIfName)
	if content, err := os.ReadFile(file); err != nil || string(content) != `{"type":"pci","version":"1.1.0"}` {
		t.Errorf("the device-info file has %s, %v", content, err)
	}
	p.HotAdd(t, "blue")
	expectDevice(t, tn, "ADD", kactustest.BlueIfName, p.Name+"-1")
	if calls.Load() != 2 {
		t.Errorf("the kubelet was asked %d times by an ADD and a hot ADD", calls.Load())
	}
	p.HotDel(t, "blue")
	p.Del(t)
	expectDevice(t, tn, "DEL", kactustest.GreenIfName, p.Name+"-0")
	expectDevice(t, tn, "DEL", kactustest.BlueIfName, p.Name+"-1")
	if calls.Load() != 2 {
		t.Error("the kubelet was asked by a DEL")
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the device-info file is left: %v", err)
	}
	p.ExpectGone(t)
}

func TestDevices_WithoutAKubelet(t *testing.T) {
	t.Parallel()
	tn := newDeviceTenant(t)
	tn.Conf.PodResourcesSocket = filepath.Join(tn.Dir, "kubelet.sock")
	p := tn.NewPod(t, `[{"name": "green"}]`)
	kactustest.ExpectError(t, p.AddError(t), 11, tn.Conf.PodResourcesSocket, p.Namespace+"/"+p.Name,
		"no such file or directory", "is the kubelet running", "podResourcesSocket")
	p.ExpectGone(t)
}

func TestDevices_OfAResourceClaim(t *testing.T) {
	t.Parallel()
	tn := newDeviceTenant(t)
	var p *kactustest.Pod
	tn.Conf.PodResourcesSocket = kubelettest.Serve(t, func(string, []byte) kubelettest.Answer {
		return kubelettest.Answer{Message: kubelettest.Encode(kubelettest.Pod{
			Namespace: p.Namespace, Name: p.Name,
			Containers: []kubelettest.Container{{Claimed: [][3]string{
				{"nic.kaloom.com", "pool", "vf1"}, {"nic.kaloom.com", "pool", "vf0"},
				{"gpu.kaloom.com", "pool", "gpu0"},
			}}},
		})}
	})
	createResourceSlice(t, tn.NodeName(), map[string]string{"vf0": "0000:03:02.0", "gpu": ""})
	createResourceSlice(t, tn.NodeName(), map[string]string{"vf1": "0000:03:02.1"})
	createResourceSlice(t, tn.NodeName()+"-other", map[string]string{"vf1": "of another node"})

	p = tn.NewPod(t, `[{"name": "green"}, {"name": "blue"}]`)
	p.Add(t)
	expectDevice(t, tn, "ADD", kactustest.GreenIfName, "0000:03:02.0")
	expectDevice(t, tn, "ADD", kactustest.BlueIfName, "0000:03:02.1")
	p.Del(t)
	p.ExpectGone(t)
}

// createResourceSlice creates a ResourceSlice of the driver nic.kaloom.com on a node, with the IDs
// of devices by their name.
func createResourceSlice(t *testing.T, node string, ids map[string]string) {
	t.Helper()
	const path = "/apis/resource.k8s.io/v1/resourceslices"
	var devices []map[string]any
	for name, id := range ids {
		attributes := map[string]any{"model": map[string]any{"string": "x"}}
		if id != "" {
			attributes["k8s.cni.cncf.io/resourceName"] = map[string]any{"string": nicResource}
			attributes["k8s.cni.cncf.io/deviceID"] = map[string]any{"string": id}
		}
		devices = append(devices, map[string]any{"name": name, "attributes": attributes})
	}
	name := fmt.Sprintf("slice-%d", kactustest.NextNumber())
	kactustest.Create(t, path, kactustest.Object{
		APIVersion: "resource.k8s.io/v1", Kind: "ResourceSlice", Metadata: kactustest.Metadata{Name: name},
		Spec: map[string]any{
			"driver": "nic.kaloom.com", "nodeName": node, "devices": devices,
			"pool": map[string]any{"name": "pool", "generation": 1, "resourceSliceCount": 2},
		},
	})
}
