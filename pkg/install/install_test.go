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

const validNetconf = `{"cniVersion": "1.0.0", "name": "n", "type": "kactus", "delegates": [{"type": "ptp", "masterPlugin": true}]}`

// site is a node's folders, and what is to be installed there.
type site struct {
	*testing.T
	Installer
	dir string
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{T: t, dir: dir, Installer: Installer{Options: Options{
		Binary: dir + "/program", BinDir: dir + "/bin", ConfDir: dir + "/conf",
		Netconf: dir + "/05-kactus.conf", ServiceAccount: dir + "/account", Server: "https://10.0.0.1:443",
	}}}
	for _, d := range []string{s.BinDir, s.ConfDir, s.ServiceAccount} {
		s.must(os.Mkdir(d, 0o755))
	}
	s.write("program", "v1", 0o755)
	s.write("05-kactus.conf", validNetconf, 0o644)
	s.write("account/token", "first-token\n", 0o644)
	s.write("account/ca.crt", "authority", 0o644)
	s.write("bin/ptp", "plugin", 0o755)
	return s
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) write(name, content string, mode fs.FileMode) {
	s.Helper()
	path := filepath.Join(s.dir, name)
	s.must(os.WriteFile(path, []byte(content), mode))
	s.must(os.Chmod(path, mode))
}

func (s *site) read(name string) string {
	s.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	s.must(err)
	return string(content)
}

// installed are the files on the node, with their modes.
func (s *site) installed() []string {
	s.Helper()
	var files []string
	for _, d := range []string{"bin", "conf"} {
		s.must(filepath.WalkDir(filepath.Join(s.dir, d), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			rel, _ := filepath.Rel(s.dir, path)
			files = append(files, fmt.Sprintf("%s %o", rel, info.Mode().Perm()))
			return err
		}))
	}
	slices.Sort(files)
	return files
}

func (s *site) install() []string {
	s.Helper()
	changes, err := s.Install()
	s.must(err)
	return s.sentences(changes)
}

func (s *site) sentences(changes []Change) []string {
	var all []string
	for _, c := range changes {
		all = append(all, strings.ReplaceAll(c.What, s.dir+"/", ""))
	}
	return all
}

func (s *site) same(what string, got, want []string) {
	s.Helper()
	if !slices.Equal(got, want) {
		s.Errorf("%s: got %q, want %q", what, got, want)
	}
}

var (
	all    = []string{"write bin/kactus", "write conf/kactus.d/kactus-kubeconfig.yaml", "write conf/05-kactus.conf"}
	onNode = []string{"bin/kactus 755", "bin/ptp 755", "conf/05-kactus.conf 600", "conf/kactus.d/kactus-kubeconfig.yaml 600"}
)

func TestInstallPutsTheNetconfLast(t *testing.T) {
	s := newSite(t)
	s.same("changes", s.install(), all)
	s.same("files", s.installed(), onNode)
	if info, err := os.Stat(s.ConfDir + "/kactus.d"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the kubeconfig's folder: %v, %v", info.Mode(), err)
	}
	for _, words := range []string{"first-token", "https://10.0.0.1:443", "current-context: kactus"} {
		if !strings.Contains(s.read("conf/kactus.d/kactus-kubeconfig.yaml"), words) {
			t.Errorf("the kubeconfig does not have %s", words)
		}
	}
}

func TestWhatIsRightIsLeftAlone(t *testing.T) {
	s := newSite(t)
	s.install()
	before, err := os.Stat(s.BinDir + "/kactus")
	s.must(err)
	s.same("changes", s.install(), nil)
	after, err := os.Stat(s.BinDir + "/kactus")
	s.must(err)
	if !os.SameFile(before, after) {
		t.Error("an identical binary was replaced")
	}
}

func TestOnlyWhatChangedIsWritten(t *testing.T) {
	for behaviour, tt := range map[string]struct {
		file, content string
		want          string
	}{
		"a new token makes a new kubeconfig": {"account/token", "second-token", "write conf/kactus.d/kactus-kubeconfig.yaml"},
		"a new authority does":               {"account/ca.crt", "other", "write conf/kactus.d/kactus-kubeconfig.yaml"},
		"a new program makes a new binary":   {"program", "v2", "write bin/kactus"},
		"a new netconf is installed":         {"05-kactus.conf", strings.Replace(validNetconf, `"n"`, `"m"`, 1), "write conf/05-kactus.conf"},
		"a binary that somebody changed":     {"bin/kactus", "vX", "write bin/kactus"},
	} {
		t.Run(behaviour, func(t *testing.T) {
			s := newSite(t)
			s.install()
			s.write(tt.file, tt.content, 0o600)
			s.same("changes", s.install(), []string{tt.want})
		})
	}
}

func TestANodeDoesNotBecomeReadyBeforePodsCanStart(t *testing.T) {
	for behaviour, tt := range map[string]struct {
		breakIt func(s *site)
		says    string
	}{
		"a netconf that is wrong":          {func(s *site) { s.write("05-kactus.conf", `{"name": "n"}`, 0o644) }, "delegates"},
		"no netconf":                       {func(s *site) { s.must(os.Remove(s.Netconf)) }, "05-kactus.conf"},
		"no plugin of the master delegate": {func(s *site) { s.must(os.Remove(s.BinDir + "/ptp")) }, "ptp"},
		"a plugin that cannot be run":      {func(s *site) { s.write("bin/ptp", "x", 0o644) }, "ptp"},
		"no token":                         {func(s *site) { s.must(os.Remove(s.ServiceAccount + "/token")) }, "token"},
		"an empty token":                   {func(s *site) { s.write("account/token", "\n", 0o644) }, "token"},
		"no certificate authority":         {func(s *site) { s.must(os.Remove(s.ServiceAccount + "/ca.crt")) }, "ca.crt"},
		"no program":                       {func(s *site) { s.must(os.Remove(s.Binary)) }, "program"},
		"a second plugin of the chain missing": {func(s *site) {
			s.write("05-kactus.conf", `{"name": "n", "delegates": [{"masterPlugin": true, "plugins": [{"type": "ptp"}, {"type": "portmap"}]}]}`, 0o644)
		}, "portmap"},
	} {
		t.Run(behaviour, func(t *testing.T) {
			s := newSite(t)
			tt.breakIt(s)
			_, err := s.Install()
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the error %v does not say %q", err, tt.says)
			}
			if _, err := os.Stat(s.ConfDir + "/05-kactus.conf"); err == nil {
				t.Error("there is a netconf on the node")
			}
		})
	}
	t.Run("a netconf that was right before stays when a wrong one follows", func(t *testing.T) {
		s := newSite(t)
		s.install()
		s.write("05-kactus.conf", `{`, 0o644)
		if _, err := s.Install(); err == nil {
			t.Error("no error")
		}
		if got := s.read("conf/05-kactus.conf"); got != validNetconf {
			t.Errorf("the node has %s", got)
		}
	})
}

func TestAPlanChangesNothing(t *testing.T) {
	s := newSite(t)
	changes, err := s.Plan()
	s.must(err)
	s.same("plan", s.sentences(changes), all)
	s.same("files", s.installed(), []string{"bin/ptp 755"})
	s.install()
	s.same("plan to uninstall", s.sentences(s.PlanUninstall()),
		[]string{"remove conf/05-kactus.conf", "remove conf/kactus.d/kactus-kubeconfig.yaml", "remove conf/kactus.d", "remove bin/kactus"})
	s.same("files", s.installed(), onNode)
}

func TestUninstallRemovesTheNetconfFirstAndLeavesTheRest(t *testing.T) {
	s := newSite(t)
	s.install()
	changes, err := s.Uninstall()
	s.must(err)
	s.same("changes", s.sentences(changes),
		[]string{"remove conf/05-kactus.conf", "remove conf/kactus.d/kactus-kubeconfig.yaml", "remove conf/kactus.d", "remove bin/kactus"})
	s.same("files", s.installed(), []string{"bin/ptp 755"})
	changes, err = s.Uninstall()
	s.must(err)
	s.same("changes the second time", s.sentences(changes), nil)
}

// A reader never finds anything but one version or the other, whole.
func TestAReplacementIsInOneStep(t *testing.T) {
	s := newSite(t)
	versions := []string{strings.Repeat("a", 1<<20), strings.Repeat("b", 1<<20)}
	s.write("program", versions[0], 0o755)
	s.install()
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			content, err := os.ReadFile(s.BinDir + "/kactus")
			if err != nil || !slices.Contains(versions, string(content)) {
				t.Errorf("a reader found %d bytes, %v", len(content), err)
				return
			}
		}
	})
	for i := range 50 {
		s.write("program", versions[(i+1)%2], 0o755)
		s.install()
	}
	close(done)
	reader.Wait()
	s.same("files", s.installed(), onNode)
}
