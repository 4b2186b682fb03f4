package vm_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/vm"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/vm/verdict"
)

// guestTimeout bounds the guest's run time, half a minute on an idle machine.
const guestTimeout = 5 * time.Minute

// TestVLAN runs kactus with the standard vlan plugin on a kernel with 802.1Q: two nodes, two Pods,
// and the networks green and blue, first with addresses from the annotation and then with the IPAM
// plugin null. The subtests are the guest's verdicts; the code is in the directory guest.
func TestVLAN(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a virtual machine")
	}
	readSources(t)
	kernel := fetchKernel(t)
	programs := build(t)
	cp := startControlPlane(t)
	machine := vm.Machine{
		Kernel:            kernel,
		Modules:           []string{"virtio_pci", "virtio_net", "veth", "8021q"},
		Files:             append(programs, configuration(t, cp)...),
		NetworkInterfaces: 2,
		Dir:               t.TempDir(),
	}
	ctx, cancel := context.WithTimeout(t.Context(), guestTimeout)
	defer cancel()
	err := machine.Run(ctx, func(line io.Reader) error {
		return verdict.Read(line, func(v verdict.Verdict) { judge(t, v) })
	})
	if err != nil {
		t.Fatal(err)
	}
}

func judge(t *testing.T, v verdict.Verdict) {
	t.Run(v.Behavior, func(t *testing.T) {
		t.Logf("took %s in the guest", v.Took.Round(time.Millisecond))
		if v.Failure != "" {
			t.Error(v.Failure)
		}
	})
}

// configuration returns the files that an installation puts on a node, and the commands of the init
// containers that set addresses.
func configuration(t *testing.T, cp *cluster.ControlPlane) []vm.File {
	t.Helper()
	return []vm.File{
		{Path: "/etc/cni/net.d/05-kactus.conf", Mode: 0o644,
			Content: read(t, filepath.Join("testdata", "05-kactus.conf"))},
		{Path: "/etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml", Mode: 0o600, Content: kubeconfig(t, cp)},
		{Path: "/init-commands/app1", Mode: 0o644, Content: initCommand(t, cp, ownAddresses, "app1")},
		{Path: "/init-commands/app2", Mode: 0o644, Content: initCommand(t, cp, ownAddresses, "app2")},
	}
}

// kubeconfig returns the administrator's kubeconfig with the apiserver's address for the guest.
func kubeconfig(t *testing.T, cp *cluster.ControlPlane) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kubeconfig")
	if err := cp.WriteKubeconfig(name, cp.AdminToken()); err != nil {
		t.Fatal(err)
	}
	guestURL := strings.Replace(cp.URL(), "127.0.0.1", vm.HostIP, 1)
	return []byte(strings.Replace(string(read(t, name)), cp.URL(), guestURL, 1))
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
