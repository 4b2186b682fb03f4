package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestWhatADelegateIsTold(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	env, stdin := filepath.Join(tn.dir, "env"), filepath.Join(tn.dir, "stdin")
	tn.script(t, "records", "env >"+env+"\ncat >"+stdin+"\nexec "+suite.plugins+"/macvlan <"+stdin+"\n")
	tn.network(t, "green", `{"type": "records", "master": "`+node.Uplink+`", "own": {"key": [1, 2]}}`)
	someMAC := tn.unused(1)
	p := tn.pod(t, `[{"name":"green","ifMac":"`+someMAC+`"}]`)
	identity := "IgnoreUnknown=1;K8S_POD_NAMESPACE=" + tn.namespace + ";K8S_POD_NAME=" + p.name + ";K8S_POD_INFRA_CONTAINER_ID=" + p.id
	expectArgs := func(t *testing.T, want string) {
		t.Helper()
		if got := readEnv(t, env)["CNI_ARGS"]; got != want {
			t.Errorf("CNI_ARGS: %s; want %s", got, want)
		}
	}
	c := p.runtime()
	c.args = append(c.args, [2]string{"SECRET", "of-the-caller"})
	current(t)(p.libcniAdd(t, p.conf, c))

	t.Run("in CNI_ARGS is the Pod's identity and the address alone", func(t *testing.T) {
		expectArgs(t, identity+";K8S_POD_UID="+p.uid+";MAC="+someMAC+";CNI_IFMAC="+someMAC)
	})
	t.Run("in its environment is nothing else of the caller's", func(t *testing.T) {
		allowed := []string{"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH", "PATH", "PWD"} // the shell adds PWD
		for name := range readEnv(t, env) {
			if !slices.Contains(allowed, name) {
				t.Errorf("the delegate's environment has %s", name)
			}
		}
	})
	t.Run("by a hot ADD is not that it is one", func(t *testing.T) {
		p.hotDel(t, "green")
		p.hotAdd(t, "green")
		expectArgs(t, identity)
	})
	t.Run("at its DEL is what it was told at its ADD", func(t *testing.T) {
		p.del(t)
		expectArgs(t, identity)
		if got := readEnv(t, env); got["CNI_COMMAND"] != "DEL" || got["CNI_IFNAME"] != greenDevice || got["CNI_NETNS"] != p.netns {
			t.Errorf("environment: %q", got)
		}
		p.expectGone(t)
	})
}

func readEnv(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env[name] = value
	}
	return env
}
