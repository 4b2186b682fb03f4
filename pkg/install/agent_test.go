package install

import (
	"os"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

const agentsNetconf = `{"cniVersion": "0.4.0", "name": "n-agent", "type": "kactus", "disableGC": true, ` +
	kubeconfigKey + `, "delegates": [{"type": "ptp", "masterPlugin": true}]}`

// newAgentNode returns a node with a netconf for agents, whose directory does not exist yet.
func newAgentNode(t *testing.T) *testNode {
	t.Helper()
	n := newTestNode(t)
	n.Agent = AgentNetconf{Dir: n.dir + "/agent.d", CNIVersion: "0.4.0"}
	return n
}

func TestInstall_AgentNetconf(t *testing.T) {
	n := newAgentNode(t)
	n.same("changes", n.install(), append(append([]string{}, all...), "write agent.d/00-kactus.conf"))
	n.same("changes later", n.install(), nil)
	n.sameJSON("agent.d/00-kactus.conf", agentsNetconf)
	if conf, err := netconf.ParseFile([]byte(n.read("agent.d/00-kactus.conf"))); err != nil || conf.Name != "n-agent" {
		t.Errorf("got a netconf with the name %s, %v", conf.Name, err)
	}
	if info, err := os.Stat(n.Agent.path()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	for name, damage := range map[string]func(){
		"that was changed":            func() { n.write("agent.d/00-kactus.conf", agentsNetconf, 0o600) },
		"that was opened":             func() { n.must(os.Chmod(n.Agent.path(), 0o644)) },
		"that was deleted":            func() { n.must(os.Remove(n.Agent.path())) },
		"whose directory was deleted": func() { n.must(os.RemoveAll(n.Agent.Dir)) },
	} {
		t.Run(name, func(*testing.T) {
			before := n.read("agent.d/00-kactus.conf")
			damage()
			n.same("changes", n.install(), []string{"write agent.d/00-kactus.conf"})
			if after := n.read("agent.d/00-kactus.conf"); after != before {
				t.Errorf("got %s", after)
			}
		})
	}
	t.Run("is removed when kactus is", func(t *testing.T) {
		changes, err := n.Uninstall()
		n.must(err)
		n.same("changes", n.descriptions(changes),
			append([]string{uninstalled[0], "remove agent.d/00-kactus.conf"}, uninstalled[1:]...))
		if _, err := os.Stat(n.Agent.path()); err == nil {
			t.Error("the agents still have a netconf")
		}
	})
	t.Run("is off unless told otherwise", func(*testing.T) {
		n := newTestNode(t)
		n.same("changes", n.install(), all)
	})
}

func TestInstall_AgentNetconfFollowsTheNodes(t *testing.T) {
	n := newAgentNode(t)
	n.install()
	n.write("00-kactus.conf", strings.Replace(validNetconf, `"n"`, `"m", "unknown": true`, 1), 0o644)
	if _, err := n.Install(); err == nil {
		t.Error("an invalid netconf was installed")
	}
	n.sameJSON("agent.d/00-kactus.conf", agentsNetconf)

	n.write("00-kactus.conf", strings.Replace(validNetconf, `"n"`,
		`"m", "disableGC": false, "capabilities": {"a": true}, "args": {"n": 12345678901234567890}`, 1), 0o644)
	n.same("changes", n.install(), []string{"write conf/00-kactus.conf", "write agent.d/00-kactus.conf"})
	n.sameJSON("agent.d/00-kactus.conf", strings.Replace(agentsNetconf, `"n-agent"`,
		`"m-agent", "capabilities": {"a": true}, "args": {"n": 12345678901234567890}`, 1))
	if got := n.read("agent.d/00-kactus.conf"); !strings.Contains(got, "12345678901234567890") {
		t.Errorf("a number changed: %s", got)
	}

	t.Run("which is in a list", func(*testing.T) {
		n := newAgentNode(t)
		n.Netconf = n.dir + "/00-kactus.conflist"
		n.write("00-kactus.conflist", `{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "first"}, `+plugin+
			`, {"type": "tuning"}]}`, 0o644)
		n.install()
		n.sameJSON("agent.d/00-kactus.conf", agentsNetconf)
	})
	t.Run("which a mesh has made a list of", func(*testing.T) {
		n := newAgentNode(t)
		n.write("conf/00-kactus.conflist", `{"cniVersion": "0.3.1", "name": "k8s-pod-network", "plugins": [`+plugin+
			`, {"type": "istio-cni"}]}`, 0o644)
		n.install()
		n.sameJSON("agent.d/00-kactus.conf", agentsNetconf)
	})
	t.Run("with the name and the version of the options", func(*testing.T) {
		n := newAgentNode(t)
		n.Agent.Name, n.Agent.CNIVersion = "hot", "0.3.1"
		n.install()
		n.sameJSON("agent.d/00-kactus.conf",
			strings.NewReplacer("n-agent", "hot", "0.4.0", "0.3.1").Replace(agentsNetconf))
	})
}

func TestInstall_AgentNetconfThatCannotWork(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(n *testNode)
		want   []string
	}{
		"in the runtime's directory": {func(n *testNode) { n.Agent.Dir = n.ConfDir }, []string{"conf", "the runtime"}},
		"in the runtime's directory, spelled otherwise": {
			func(n *testNode) { n.Agent.Dir = n.dir + "/bin/../conf/" }, []string{"the runtime"}},
		"in the runtime's directory, by a link": {func(n *testNode) {
			n.must(os.Symlink("conf", n.Agent.Dir))
		}, []string{"agent.d", "the runtime"}},
		"below the runtime's directory": {
			func(n *testNode) { n.Agent.Dir = n.ConfDir + "/n" }, []string{"conf/n", "the runtime"}},
		"no version":         {func(n *testNode) { n.Agent.CNIVersion = "" }, []string{"cniVersion", "0.4.0"}},
		"an unknown version": {func(n *testNode) { n.Agent.CNIVersion = "0.4.1" }, []string{`"0.4.1"`, "0.4.0"}},
		"no network's name":  {func(n *testNode) { n.Agent.Name = "a/b" }, []string{"name", `"a/b"`}},
		"the node's name":    {func(n *testNode) { n.Agent.Name = "n" }, []string{"name", `"n"`, "agent.d"}},
		"the name of another of the runtime's": {func(n *testNode) {
			n.write("conf/10-other.conflist", `{"name": "n-agent", "plugins": []}`, 0o600)
		}, []string{`"n-agent"`, "10-other.conflist"}},
		"a name that becomes too long": {func(n *testNode) {
			n.write("00-kactus.conf", strings.Replace(validNetconf, `"n"`, `"`+strings.Repeat("n", 250)+`"`, 1), 0o644)
		}, []string{"name", "agent.d"}},
		"a directory that is a file": {
			func(n *testNode) { n.write("agent.d", "", 0o600) }, []string{"agent.d/00-kactus.conf"}},
		"one that is not to be replaced": {
			func(n *testNode) { n.must(os.MkdirAll(n.Agent.path()+"/in-the-way", 0o700)) },
			[]string{"agent.d/00-kactus.conf"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newAgentNode(t)
			tt.change(n)
			_, err := n.Install()
			for _, word := range tt.want {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("got %v, want %q in the error", err, word)
				}
			}
			// The node does not wait for it.
			if got := n.read("conf/00-kactus.conf"); got != n.read("00-kactus.conf") {
				t.Errorf("the node has %s", got)
			}
		})
	}
	t.Run("because agents use another one", func(t *testing.T) {
		n := newAgentNode(t)
		n.must(os.Mkdir(n.Agent.Dir, 0o700))
		n.write("agent.d/00-a.conf", "{}", 0o600)
		if _, err := n.Install(); err == nil || !strings.Contains(err.Error(), "agents use "+n.Agent.Dir+"/00-a.conf") {
			t.Errorf("got %v", err)
		}
		n.sameJSON("agent.d/00-kactus.conf", agentsNetconf)
	})
}

func TestInstall_AgentNetconfWaitsForTheNodes(t *testing.T) {
	n := newAgentNode(t)
	n.must(os.Remove(n.BinDir + "/ptp"))
	if _, err := n.Install(); err == nil {
		t.Error("got no error")
	}
	n.must(os.MkdirAll(n.netconfPath()+"/in-the-way", 0o700))
	n.write("bin/ptp", "plugin", 0o755)
	if _, err := n.Install(); err == nil {
		t.Error("got no error")
	}
	if _, err := os.Stat(n.Agent.path()); err == nil {
		t.Error("the agents have a netconf, and the node has none")
	}
}

// During an update, the old installer must not put the agents' netconf back.
func TestInstall_AgentNetconfIsTheLeaders(t *testing.T) {
	n := newAgentNode(t)
	n.start("old", 1000, jwt("old", 1000)).pass(true)
	n.Agent.CNIVersion = "1.0.0"
	update := n.start("update", 2000, jwt("update", 2000))
	update.pass(true)
	n.Agent.CNIVersion = "0.3.1"
	n.start("older", 500, jwt("older", 500)).pass(false)
	if got := n.read("agent.d/00-kactus.conf"); !strings.Contains(got, `"1.0.0"`) {
		t.Errorf("the agents have %s", got)
	}
}
