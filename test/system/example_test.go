package system

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// requestedAddresses runs examples/ips without VLANs, which this machine's kernel may lack. test/vm
// tests those.
func (c *testCluster) requestedAddresses(t *testing.T) {
	for _, network := range []string{"green", "blue"} {
		c.apply(t, c.withoutVLAN(t, "examples/ips/"+network+"-net.yaml"))
	}
	c.example(t, "examples/ips/app1.yaml", "examples/ips/app2.yaml")
}

func (c *testCluster) ownAddresses(t *testing.T) {
	c.kubectl(t, "apply", "-f", "examples/macvlan")
	c.example(t, "examples/app1.yaml", "examples/app2.yaml")
}

// npwg runs examples/npwg, once the apiserver serves NetworkAttachmentDefinitions.
func (c *testCluster) npwg(t *testing.T) {
	c.kubectl(t, "apply", "-f", "manifests/network-attachment-definition-crd.yaml")
	c.kubectl(t, "wait", "--for=condition=Established", "--timeout=60s",
		"crd/network-attachment-definitions.k8s.cni.cncf.io")
	c.kubectl(t, "apply", "-f", "examples/npwg")
	c.rolledOut(t, "deployment/npwg-app")
	c.expectInterfaces(t, "deployment/npwg-app", "eth0", "net1", "service0")
	c.kubectl(t, "delete", "-f", "examples/npwg/lan-net.yaml")
}

func (c *testCluster) withoutVLAN(t *testing.T, manifest string) string {
	t.Helper()
	content, err := os.ReadFile(c.path(manifest))
	if err != nil {
		t.Fatal(err)
	}
	macvlan := strings.Replace(string(content), "plugin: vlan", "plugin: macvlan", 1)
	return regexp.MustCompile(`(?m)^ *"vlanId".*\n`).ReplaceAllString(macvlan, "")
}

func (c *testCluster) example(t *testing.T, app1, app2 string) {
	c.kubectl(t, "apply", "-f", app1, "-f", app2)
	c.rolledOut(t, "deployment/app1")
	c.rolledOut(t, "deployment/app2")
	if one, two := c.nodeOf(t, "app=app1"), c.nodeOf(t, "app=app2"); one == two {
		t.Errorf("app1 and app2 are both on %s", one)
	}
	for _, app := range []string{"deployment/app1", "deployment/app2"} {
		c.expectInterfaces(t, app, "eth0", green, blue)
	}
	shown := c.kubectl(t, "exec", "deployment/app1", "-c", "app", "--", "ip", "a")
	for _, words := range []string{"eth0", green, "192.168.42.10/24", "fd10:42::1/64", blue,
		"192.168.43.10/24", "fd10:43::1/64"} {
		if !strings.Contains(shown, words) {
			t.Errorf("ip a in app1 does not show %s:\n%s", words, shown)
		}
	}
	for _, address := range []string{"192.168.42.20", "192.168.43.20", "fd10:42::2", "fd10:43::2"} {
		// A new IPv6 address is not usable for some seconds.
		await(t, "app1 pings "+address, func() (string, bool) {
			out, err := c.Kubectl(t.Context(), "exec", "deployment/app1", "-c", "app", "--", "ping", "-c", "1", "-W",
				"2", address).CombinedOutput()
			return string(out), err == nil && strings.Contains(string(out), "1 packets received")
		})
	}
}

func (c *testCluster) nodeOf(t *testing.T, label string) string {
	t.Helper()
	return c.kubectl(t, "get", "pods", "-l", label, "-o", "jsonpath={.items[*].spec.nodeName}")
}
