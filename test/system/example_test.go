package system

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// addressesAskedFor runs examples/ips, but for the vlans, which this machine's kernel may lack: test/vm runs those.
func (s *site) addressesAskedFor(t *testing.T) {
	for _, network := range []string{"green", "blue"} {
		s.apply(t, s.withoutVLAN(t, "examples/ips/"+network+"-net.yaml"))
	}
	s.example(t, "examples/ips/app1.yaml", "examples/ips/app2.yaml")
}

func (s *site) addressesSet(t *testing.T) {
	s.kubectl(t, "apply", "-f", "examples/macvlan")
	s.example(t, "examples/app1.yaml", "examples/app2.yaml")
}

func (s *site) withoutVLAN(t *testing.T, manifest string) string {
	t.Helper()
	content, err := os.ReadFile(s.path(manifest))
	if err != nil {
		t.Fatal(err)
	}
	macvlan := strings.Replace(string(content), "plugin: vlan", "plugin: macvlan", 1)
	return regexp.MustCompile(`(?m)^ *"vlanId".*\n`).ReplaceAllString(macvlan, "")
}

func (s *site) example(t *testing.T, app1, app2 string) {
	s.kubectl(t, "apply", "-f", app1, "-f", app2)
	s.rolledOut(t, "deployment/app1")
	s.rolledOut(t, "deployment/app2")
	if one, two := s.nodeOf(t, "app=app1"), s.nodeOf(t, "app=app2"); one == two {
		t.Errorf("app1 and app2 are both on %s", one)
	}
	s.expectDevices(t, "deployment/app1", "eth0", green, blue)
	shown := s.kubectl(t, "exec", "deployment/app1", "-c", "app", "--", "ip", "a")
	for _, words := range []string{"eth0", green, "192.168.42.10/24", "fd10:42::1/64", blue, "192.168.43.10/24", "fd10:43::1/64"} {
		if !strings.Contains(shown, words) {
			t.Errorf("ip a in app1 does not show %s:\n%s", words, shown)
		}
	}
	for _, address := range []string{"192.168.42.20", "192.168.43.20", "fd10:42::2", "fd10:43::2"} {
		// An IPv6 address is of no use in its first seconds.
		await(t, "app1 pings "+address, func() (string, bool) {
			out, err := s.Kubectl(t.Context(), "exec", "deployment/app1", "-c", "app", "--", "ping", "-c", "1", "-W", "2", address).CombinedOutput()
			return string(out), err == nil && strings.Contains(string(out), "1 packets received")
		})
	}
}

func (s *site) nodeOf(t *testing.T, label string) string {
	t.Helper()
	return s.kubectl(t, "get", "pods", "-l", label, "-o", "jsonpath={.items[*].spec.nodeName}")
}
