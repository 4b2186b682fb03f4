package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// TestNPWG_Example gives a Pod what the Deployment of examples/npwg asks for.
func TestNPWG_Example(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	dir := filepath.Join(kactustest.Root(), "examples", "npwg")
	net, err := os.ReadFile(filepath.Join(dir, "lan-net.yaml"))
	kactustest.Must(t, err)
	onNode := strings.Replace(string(net), `"master": "eth0"`, `"master": "`+node.Uplink+`"`, 1)
	if onNode == string(net) {
		t.Fatal("the example is not on eth0")
	}
	_, err = kactustest.Kubectl(t.Context(), onNode, "apply", "-n", tn.Namespace, "-f", "-")
	kactustest.Must(t, err)
	out, err := kactustest.Kubectl(t.Context(), "", "apply", "-n", tn.Namespace, "--dry-run=server",
		"--validate=strict",
		"-o", "json", "-f", filepath.Join(dir, "app.yaml"))
	kactustest.Must(t, err)
	var deployment struct {
		Spec struct {
			Template struct{ Metadata kactustest.Metadata }
		}
	}
	kactustest.Must(t, json.Unmarshal([]byte(out), &deployment))

	p := tn.NewAnnotatedPod(t, deployment.Spec.Template.Metadata.Annotations)
	p.Add(t)
	p.ExpectInterfaces(t, "eth0", "net1", "service0")
	kactustest.ExpectSame(t, "addresses of net1", p.Addrs(t, "net1"), []string{"192.168.45.10/24"})
	kactustest.ExpectSame(t, "addresses of service0", p.Addrs(t, "service0"),
		[]string{"192.168.45.11/24", "fd10:45::1/64"})
	p.Del(t)
	p.ExpectGone(t)
}
