package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// An installedNode is a node on which kactus install runs while the default network's owner, and
// others, change the directory of CNI configurations.
type installedNode struct {
	dir     string
	wanted  string // the name of the default network
	renamed bool   // by Cilium, since the last install that was not killed
	changes int
}

// TestFault_InstallKill kills kactus install while it installs kactus, or follows the default
// network. The runtime must always find a complete netconf, and the next install must bring the
// node in order.
func TestFault_InstallKill(t *testing.T) {
	t.Parallel()
	tries := 60
	if *fullCampaign {
		tries = 2000
	}
	n := &installedNode{dir: t.TempDir()}
	n.write(t, "account/token", "token")
	n.write(t, "account/ca.crt", "none, so that nobody is asked")
	n.write(t, "bin/ptp", "a plugin")
	n.write(t, "00-kactus.conf", `{"cniVersion": "1.0.0", "name": "kactus-net", "type": "kactus",
		"kubeconfig": "/conf/kactus.d/kactus-kubeconfig.yaml"}`)
	f := fault{name: "SIGKILL of kactus install while the default network changes; then install again"}
	usual := n.change(t, func() time.Duration { return n.install(t, time.Minute) })
	for range tries {
		n.change(t, func() time.Duration { return n.install(t, rand.N(usual)) })
		lost := n.broken()
		begin := time.Now()
		n.install(t, time.Minute)
		f.count(t, fmt.Sprintf("after change %d", n.changes), time.Since(begin), append(lost, n.leftOver()...)...)
		n.renamed = false
	}
	f.report(t)
}

func (n *installedNode) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(n.dir, name)
	kactustest.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	kactustest.Must(t, os.WriteFile(path, []byte(content), 0o755))
}

func (n *installedNode) read(name string) string {
	content, _ := os.ReadFile(filepath.Join(n.dir, name))
	return string(content)
}

// change changes what there is to install, and the default network: it comes, becomes another one
// in another file, changes, and goes for a while; now and then, Cilium renames the netconf.
func (n *installedNode) change(t *testing.T, install func() time.Duration) time.Duration {
	t.Helper()
	n.changes++
	n.write(t, "kactus", strings.Repeat(fmt.Sprint("version ", n.changes, "\n"), 1<<12))
	one, other := filepath.Join(n.dir, "conf/10-one.conf"), filepath.Join(n.dir, "conf/20-other.conflist")
	switch n.changes % 4 {
	case 1:
		n.wanted = "one"
		_ = os.Remove(other)
		n.write(t, "conf/10-one.conf", fmt.Sprintf(`{"name": "one", "type": "ptp", "mtu": %d}`, n.changes))
	case 2:
		n.wanted = "other"
		kactustest.Must(t, os.Remove(one))
		n.write(t, "conf/20-other.conflist", `{"name": "other", "cniVersion": "1.0.0", "plugins": [{"type": "ptp"}]}`)
	case 3:
		kactustest.Must(t, os.Remove(other)) // and kactus keeps what it has
	default:
		conf := filepath.Join(n.dir, "conf/00-kactus.conf")
		n.renamed = os.Rename(conf, conf+".cilium_bak") == nil
		n.write(t, "conf/20-other.conflist", `{"name": "other", "cniVersion": "1.0.0", "plugins": [{"type": "ptp"}]}`)
	}
	return install()
}

// install runs kactus install, kills it after that time, and returns how long it took.
func (n *installedNode) install(t *testing.T, limit time.Duration) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	begin := time.Now()
	out, err := exec.CommandContext(ctx, kactustest.KactusPath(), "install", "-once", "-binary", n.dir+"/kactus",
		"-bin-dir", n.dir+"/bin", "-conf-dir", n.dir+"/conf", "-netconf", n.dir+"/00-kactus.conf",
		"-service-account", n.dir+"/account", "-server", "https://127.0.0.1:1").CombinedOutput()
	if err != nil && ctx.Err() == nil && !strings.Contains(string(out), "Cilium renames") {
		t.Fatalf("kactus install: %v\n%s", err, out)
	}
	return time.Since(begin)
}

// broken returns what the runtime could not use, after a kill.
func (n *installedNode) broken() (lost []string) {
	content := n.read("conf/00-kactus.conf")
	if content == "" && n.renamed {
		return nil
	}
	if conf, err := netconf.ParseFile([]byte(content)); err != nil {
		lost = append(lost, fmt.Sprintf("the netconf: %v: %q", err, content))
	} else if name := conf.Master.Name; name != "one" && name != "other" {
		lost = append(lost, "the netconf has the default network "+name)
	}
	now, before := fmt.Sprint("version ", n.changes, "\n"), fmt.Sprint("version ", n.changes-1, "\n")
	binary := n.read("bin/kactus")
	if binary != strings.Repeat(now, 1<<12) && binary != strings.Repeat(before, 1<<12) {
		lost = append(lost, fmt.Sprintf("the binary has %d bytes, and begins with %.20q", len(binary), binary))
	}
	return lost
}

// leftOver returns what an install that was not killed left undone. It makes temporary files of
// killed ones old enough for the next to remove.
func (n *installedNode) leftOver() (lost []string) {
	conf, err := netconf.ParseFile([]byte(n.read("conf/00-kactus.conf")))
	if err != nil || conf.Master.Name != n.wanted {
		lost = append(lost, fmt.Sprintf("the default network is %q (%v), want %s", conf.Master.Name, err, n.wanted))
	}
	if n.read("bin/kactus") != n.read("kactus") {
		lost = append(lost, "the binary is not the newest")
	}
	if n.read("conf/00-kactus.conf.cilium_bak") != "" {
		lost = append(lost, "the netconf that Cilium renamed is still there")
	}
	for _, dir := range []string{"bin", "conf", "conf/kactus.d"} {
		temporary, _ := filepath.Glob(filepath.Join(n.dir, dir, ".kactus-*"))
		for _, path := range temporary {
			if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > time.Minute && dir == "bin" {
				lost = append(lost, path+" is still there")
			}
			old := time.Now().Add(-time.Hour)
			_ = os.Chtimes(path, old, old)
		}
	}
	return lost
}
