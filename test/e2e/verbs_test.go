package e2e

import (
	"encoding/json"
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
	t.Run("in its configuration is the Network's, with the names", func(t *testing.T) {
		data, err := os.ReadFile(stdin)
		if err != nil {
			t.Fatal(err)
		}
		var conf struct {
			Name, NetworkName, CNIVersion, Master string
			Own                                   map[string][]int
		}
		if err := json.Unmarshal(data, &conf); err != nil {
			t.Fatal(err)
		}
		if conf.Name != "green" || conf.NetworkName != "green" || conf.CNIVersion != "1.0.0" || conf.Master != node.Uplink || len(conf.Own["key"]) != 2 {
			t.Errorf("configuration: %s", data)
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

func TestLedgerFiles(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	p := tn.podWith(t, nil)
	p.add(t)
	t.Run("are the owner's alone", func(t *testing.T) {
		for path, want := range map[string]os.FileMode{p.conf.CNIDir: os.ModeDir | 0o700, p.recordPath(): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
			}
		}
	})
	t.Run("say what they are of", func(t *testing.T) {
		if r := p.record(t); r.Format != 1 || r.ContainerID != p.id {
			t.Errorf("record: %+v", r)
		}
	})
	t.Run("are no way to another file, by a symbolic link in their place", func(t *testing.T) {
		other := tn.podWith(t, nil)
		precious := filepath.Join(tn.dir, "precious")
		if err := os.WriteFile(precious, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(precious, other.recordPath()); err != nil {
			t.Fatal(err)
		}
		if _, err := other.libcniAdd(t, other.conf, other.runtime()); err == nil {
			t.Error("an ADD takes the link for a record")
		}
		other.del(t)
		other.add(t)
		other.expectLedger(t, "attached", "eth0")
		if info, err := os.Lstat(other.recordPath()); err != nil || info.Mode().Type() != 0 {
			t.Errorf("the record is %v, %v; want a file", info.Mode(), err)
		}
		if data, err := os.ReadFile(precious); err != nil || string(data) != "{}" {
			t.Errorf("the link's target has %q, %v", data, err)
		}
		other.del(t)
		other.expectDevices(t)
	})
	p.del(t)
	p.expectGone(t)
}
