package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func TestAdd_DelegateEnvironment(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	env, stdin := filepath.Join(tn.Dir, "env"), filepath.Join(tn.Dir, "stdin")
	tn.AddScript(t, "records", "env >"+env+"\ncat >"+stdin+"\nexec "+kactustest.PluginDir()+"/macvlan <"+stdin+"\n")
	tn.CreateNetwork(t, "green", `{"type": "records", "master": "`+node.Uplink+`", "own": {"key": [1, 2]}}`)
	someMAC := tn.UniqueMAC(1)
	p := tn.NewPod(t, `[{"name":"green","ifMac":"`+someMAC+`"}]`)
	identity := "IgnoreUnknown=1;K8S_POD_NAMESPACE=" + tn.Namespace + ";K8S_POD_NAME=" + p.Name +
		";K8S_POD_INFRA_CONTAINER_ID=" + p.ID
	expectArgs := func(t *testing.T, want string) {
		t.Helper()
		if got := readEnv(t, env)["CNI_ARGS"]; got != want {
			t.Errorf("CNI_ARGS: %s; want %s", got, want)
		}
	}
	c := p.Runtime()
	c.Args = append(c.Args, [2]string{"SECRET", "of-the-runtime"})
	kactustest.MustResult(t)(p.AddWith(t, p.Conf, c))

	t.Run("CNI_ARGS has the Pod's identity and MAC address alone", func(t *testing.T) {
		expectArgs(t, identity+";K8S_POD_UID="+p.UID+";MAC="+someMAC+";CNI_IFMAC="+someMAC)
	})
	t.Run("the environment has nothing else of the runtime's", func(t *testing.T) {
		allowed := []string{"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH", "PATH",
			"PWD"} // the shell adds PWD
		for name := range readEnv(t, env) {
			if !slices.Contains(allowed, name) {
				t.Errorf("the delegate's environment has %s", name)
			}
		}
	})
	t.Run("a hot ADD passes the same CNI_ARGS", func(t *testing.T) {
		p.HotDel(t, "green")
		p.HotAdd(t, "green")
		expectArgs(t, identity)
	})
	t.Run("DEL passes what ADD passed", func(t *testing.T) {
		p.Del(t)
		expectArgs(t, identity)
		if got := readEnv(t, env); got["CNI_COMMAND"] != "DEL" || got["CNI_IFNAME"] != kactustest.GreenIfName ||
			got["CNI_NETNS"] != p.Netns {
			t.Errorf("environment: %q", got)
		}
		p.ExpectGone(t)
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
