package install

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const validNetconf = `{"cniVersion": "1.0.0", "name": "n", "type": "kactus", ` +
	`"kubeconfig": "/conf/kactus.d/kactus-kubeconfig.yaml", "delegates": [{"type": "ptp", "masterPlugin": true}]}`

// A testNode has a node's directories and what to install there.
type testNode struct {
	*testing.T
	*Installer
	api *apiserver
	dir string
}

func newTestNode(t *testing.T) *testNode {
	t.Helper()
	dir, api := t.TempDir(), newAPIServer(t)
	n := &testNode{T: t, dir: dir, api: api, Installer: &Installer{Options: Options{
		Binary: dir + "/kactus", BinDir: dir + "/bin", ConfDir: dir + "/conf", Node: "node1",
		Netconf: dir + "/00-kactus.conf", ServiceAccount: dir + "/account", Server: api.URL,
	}}}
	n.clock = api.time
	for _, d := range []string{n.BinDir, n.ConfDir, n.ServiceAccount} {
		n.must(os.Mkdir(d, 0o755))
	}
	n.write("kactus", "v1", 0o755)
	n.write("00-kactus.conf", validNetconf, 0o644)
	n.write("account/token", "first-token\n", 0o644)
	n.write("account/ca.crt", api.authority(), 0o644)
	n.write("bin/ptp", "plugin", 0o755)
	return n
}

func (n *testNode) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

func (n *testNode) write(name, content string, mode fs.FileMode) {
	n.Helper()
	path := filepath.Join(n.dir, name)
	n.must(os.WriteFile(path, []byte(content), mode))
	n.must(os.Chmod(path, mode))
}

func (n *testNode) read(name string) string {
	n.Helper()
	content, err := os.ReadFile(filepath.Join(n.dir, name))
	n.must(err)
	return string(content)
}

// installed returns the files on the node, with their modes.
func (n *testNode) installed() []string {
	n.Helper()
	var files []string
	for _, d := range []string{"bin", "conf"} {
		n.must(filepath.WalkDir(filepath.Join(n.dir, d), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			rel, _ := filepath.Rel(n.dir, path)
			files = append(files, fmt.Sprintf("%s %o", rel, info.Mode().Perm()))
			return err
		}))
	}
	slices.Sort(files)
	return files
}

func (n *testNode) install() []string {
	n.Helper()
	changes, err := n.Install()
	n.must(err)
	return n.descriptions(changes)
}

func (n *testNode) descriptions(changes []Change) []string {
	var all []string
	for _, c := range changes {
		all = append(all, strings.ReplaceAll(c.What, n.dir+"/", ""))
	}
	return all
}

func (n *testNode) same(what string, got, want []string) {
	n.Helper()
	if !slices.Equal(got, want) {
		n.Errorf("%s: got %q, want %q", what, got, want)
	}
}

var (
	uninstalled = []string{"remove conf/00-kactus.conf", "remove conf/kactus.d/kactus-kubeconfig.yaml",
		"remove conf/kactus.d", "remove bin/null", "remove bin/kactus"}
	all = []string{"write bin/kactus", "link bin/null", "write conf/kactus.d/kactus-kubeconfig.yaml",
		"write conf/00-kactus.conf"}
	onNode = []string{"bin/kactus 755", "bin/null 777", "bin/ptp 755", "conf/00-kactus.conf 600",
		"conf/kactus.d/kactus-kubeconfig.yaml 600"}
)

func TestInstall_WritesTheNetconfLast(t *testing.T) {
	n := newTestNode(t)
	n.same("changes", n.install(), all)
	n.same("files", n.installed(), onNode)
	if info, err := os.Stat(n.ConfDir + "/kactus.d"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the kubeconfig's directory: %v, %v", info.Mode(), err)
	}
	for _, want := range []string{"first-token", n.api.URL, "current-context: kactus"} {
		if !strings.Contains(n.read("conf/kactus.d/kactus-kubeconfig.yaml"), want) {
			t.Errorf("the kubeconfig does not contain %s", want)
		}
	}
}

func TestInstall_KeepsWhatIsUpToDate(t *testing.T) {
	n := newTestNode(t)
	n.install()
	before, err := os.Stat(n.BinDir + "/kactus")
	n.must(err)
	n.same("changes", n.install(), nil)
	after, err := os.Stat(n.BinDir + "/kactus")
	n.must(err)
	if !os.SameFile(before, after) {
		t.Error("replaced an identical binary")
	}
}

func TestInstall_WritesOnlyChanges(t *testing.T) {
	renamed := strings.Replace(validNetconf, `"n"`, `"m"`, 1)
	for name, tt := range map[string]struct {
		file, content string
		want          string
	}{
		"a new token":                 {"account/token", "second-token", "write conf/kactus.d/kactus-kubeconfig.yaml"},
		"a new certificate authority": {"account/ca.crt", "other", "write conf/kactus.d/kactus-kubeconfig.yaml"},
		"a new binary":                {"kactus", "v2", "write bin/kactus"},
		"a new netconf":               {"00-kactus.conf", renamed, "write conf/00-kactus.conf"},
		"a binary that was modified":  {"bin/kactus", "vX", "write bin/kactus"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t)
			n.install()
			n.write(tt.file, tt.content, 0o600)
			n.same("changes", n.install(), []string{tt.want})
		})
	}
}

func TestInstall_NoNetconfBeforePodsCanStart(t *testing.T) {
	write := func(name, content string) func(*testNode) {
		return func(n *testNode) { n.write(name, content, 0o644) }
	}
	remove := func(name string) func(*testNode) {
		return func(n *testNode) { n.must(os.Remove(filepath.Join(n.dir, name))) }
	}
	for name, tt := range map[string]struct {
		setup func(n *testNode)
		want  string
	}{
		"an invalid netconf":               {write("00-kactus.conf", `{"name": "n"}`), "delegates"},
		"no netconf":                       {remove("00-kactus.conf"), "00-kactus.conf"},
		"no plugin of the master delegate": {remove("bin/ptp"), "ptp"},
		"a plugin that is not executable":  {write("bin/ptp", "x"), "ptp"},
		"no token":                         {remove("account/token"), "token"},
		"an empty token":                   {write("account/token", "\n"), "token"},
		"no certificate authority":         {remove("account/ca.crt"), "ca.crt"},
		"no binary":                        {remove("kactus"), "binary"},
		"a second plugin of the chain missing": {write("00-kactus.conf",
			strings.Replace(validNetconf, `"type": "ptp"`, `"plugins": [{"type": "ptp"}, {"type": "portmap"}]`, 1)),
			"portmap"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t)
			tt.setup(n)
			_, err := n.Install()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			if _, err := os.Stat(n.ConfDir + "/00-kactus.conf"); err == nil {
				t.Error("the node has a netconf")
			}
		})
	}
	t.Run("an invalid netconf does not replace a valid one", func(t *testing.T) {
		n := newTestNode(t)
		n.install()
		n.write("00-kactus.conf", `{`, 0o644)
		if _, err := n.Install(); err == nil {
			t.Error("got no error")
		}
		if got := n.read("conf/00-kactus.conf"); got != validNetconf {
			t.Errorf("the node has %s", got)
		}
	})
}

func TestPlan_ChangesNothing(t *testing.T) {
	n := newTestNode(t)
	changes, err := n.Plan()
	n.must(err)
	n.same("plan", n.descriptions(changes), all)
	n.same("files", n.installed(), []string{"bin/ptp 755"})
	n.install()
	n.same("uninstall plan", n.descriptions(n.PlanUninstall()), uninstalled)
	n.same("files", n.installed(), onNode)
}

func TestUninstall_RemovesTheNetconfFirst(t *testing.T) {
	n := newTestNode(t)
	n.install()
	changes, err := n.Uninstall()
	n.must(err)
	n.same("changes", n.descriptions(changes), uninstalled)
	n.same("files", n.installed(), []string{"bin/ptp 755"})
	changes, err = n.Uninstall()
	n.must(err)
	n.same("changes of a second uninstall", n.descriptions(changes), nil)
}

func TestInstall_ReplacesAtomically(t *testing.T) {
	n := newTestNode(t)
	versions := []string{strings.Repeat("a", 1<<20), strings.Repeat("b", 1<<20)}
	n.write("kactus", versions[0], 0o755)
	n.install()
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			content, err := os.ReadFile(n.BinDir + "/kactus")
			if err != nil || !slices.Contains(versions, string(content)) {
				t.Errorf("read %d bytes, %v", len(content), err)
				return
			}
		}
	})
	for i := range 50 {
		n.write("kactus", versions[(i+1)%2], 0o755)
		n.install()
	}
	close(done)
	reader.Wait()
	n.same("files", n.installed(), onNode)
}
