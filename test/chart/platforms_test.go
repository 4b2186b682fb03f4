package chart

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// TestPlatforms_PathsAreConsistent compares the paths of each platform wherever they are needed,
// both in the chart and in the kustomization.
func TestPlatforms_PathsAreConsistent(t *testing.T) {
	t.Parallel()
	all := platforms(t)
	if want := []string{"k3s", "kubeadm", "microk8s", "openshift", "rke2", "talos"}; !slices.Equal(
		slices.Sorted(maps.Keys(all)), want) {
		t.Errorf("platforms: %v, want %q", all, want)
	}
	for name, p := range all {
		t.Run(name+" with helm", func(t *testing.T) { p.check(t, render(t, "--set=platform="+name)) })
		t.Run(name+" with kustomize", func(t *testing.T) { p.check(t, build(t, kustomizationOf(name))) })
	}
}

// TestPlatforms_AreFound renders the chart as for clusters whose apiservers say what they are.
func TestPlatforms_AreFound(t *testing.T) {
	t.Parallel()
	all := platforms(t)
	for _, tt := range []struct {
		apiserver, platform string
		args                []string
	}{
		{"an unknown one", "kubeadm", nil},
		{"of k3s", "k3s", []string{"--kube-version=v1.34.1+k3s1"}},
		{"of RKE2", "rke2", []string{"--kube-version=v1.34.1+rke2r1"}},
		{"of OpenShift", "openshift", []string{"--api-versions=config.openshift.io/v1"}},
		{"of k3s, with another platform's directories", "talos", []string{"--kube-version=v1.34.1+k3s1",
			"--set=platform=talos"}},
	} {
		t.Run(tt.apiserver, func(t *testing.T) { all[tt.platform].check(t, render(t, tt.args...)) })
	}
}

// TestPlatforms_LinksAreMounted has the places, as an example, to which links on nodes lead. In the
// installer's container, they must lead there, too.
func TestPlatforms_LinksAreMounted(t *testing.T) {
	t.Parallel()
	for name, places := range map[string][]string{
		"k3s":      {"/var/lib/rancher/k3s/data/2a31b1a1/bin/cni"},
		"microk8s": {"/var/snap/microk8s/7394/opt/cni/bin", "/var/snap/microk8s/7394/args/cni-network"},
	} {
		mounts := mountsOf(t, render(t, "--set=platform="+name)["DaemonSet/kactus"])
		for mount := range mounts {
			if strings.Contains(mount+"/", "/current/") {
				t.Errorf("%s: what the link in %s leads to stays mounted when the link changes", name, mount)
			}
		}
		for _, place := range places {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(mounts)), func(mount string) bool {
				return strings.HasPrefix(place, mount+"/")
			}) {
				t.Errorf("%s: %s is in none of %v", name, place, mounts)
			}
		}
	}
}

// TestPlatforms_OwnDirectories gives the directories by values, some of which the platform's mounts
// contain.
func TestPlatforms_OwnDirectories(t *testing.T) {
	t.Parallel()
	old := platforms(t)["k3s"]
	old.BinDir = "/var/lib/rancher/k3s/data/current/bin"
	old.check(t, render(t, "--set=platform=k3s,directories.bin="+old.BinDir))
	own := platform{BinDir: "/a/bin", BinMount: "/a/bin", ConfDir: "/b/conf", ConfMount: "/b/conf", KubeletDir: "/c",
		PriorityClassName: "system-node-critical"}
	own.check(t, render(t, "--set=platform=microk8s,directories.bin=/a/bin,directories.conf=/b/conf,"+
		"directories.kubelet=/c"))
}

// check reports what in a cluster's objects does not fit the platform.
func (p platform) check(t *testing.T, objects map[string]object) {
	t.Helper()
	installer, agent := objects["DaemonSet/kactus"], objects["DaemonSet/kactus-agent"]
	container := func(o object, path ...string) any {
		name := o.text("metadata", "name")
		return o.at(append([]string{"spec", "template", "spec", "containers", name}, path...)...)
	}
	for _, o := range []object{installer, agent} {
		args := fmt.Sprint(container(o, "args"))
		for _, want := range []string{"-bin-dir=" + p.BinDir, "-conf-dir=" + p.ConfDir} {
			if !strings.Contains(args+"]", want+" ") && !strings.Contains(args, want+"]") {
				t.Errorf("%s has the arguments %s, without %s", o.text("metadata", "name"), args, want)
			}
		}
		if got := o.text("spec", "template", "spec", "priorityClassName"); got == "" || got != p.PriorityClassName {
			t.Errorf("%s has the priority class %q", o.text("metadata", "name"), got)
		}
	}
	mounts := mountsOf(t, installer)
	for dir, mount := range map[string]string{p.BinDir: p.BinMount, p.ConfDir: p.ConfMount} {
		if mounts[mount] != mount || dir != mount && !strings.HasPrefix(dir, mount+"/") {
			t.Errorf("%s is not below %s, or that is mounted elsewhere: %v", dir, mount, mounts)
		}
	}
	if got, _ := container(installer, "securityContext", "seLinuxOptions", "type").(string); got != p.SELinuxType {
		t.Errorf("the installer has the SELinux type %q, want %q", got, p.SELinuxType)
	}
	if role := objects["RoleBinding/kactus-scc"].text("roleRef", "name"); role != "" && p.SCC == "" ||
		p.SCC != "" && role != "system:openshift:scc:"+p.SCC {
		t.Errorf("the service accounts may use %q, want the constraints %q", role, p.SCC)
	}
	p.checkNetconf(t, objects["ConfigMap/kactus"].text("data", "00-kactus.conf"), mounts)
}

// mountsOf returns the node's directories that a DaemonSet's container mounts, by their paths in
// the container.
func mountsOf(t *testing.T, o object) map[string]string {
	t.Helper()
	mounts := map[string]string{}
	list, _ := o.at("spec", "template", "spec", "containers", o.text("metadata", "name"), "volumeMounts").([]any)
	for _, m := range list {
		mount := object(m.(map[string]any))
		path := o.text("spec", "template", "spec", "volumes", mount.text("name"), "hostPath", "path")
		if path == "" {
			continue // not the node's
		}
		if _, twice := mounts[mount.text("mountPath")]; twice {
			t.Errorf("%s is mounted twice", mount.text("mountPath"))
		}
		mounts[mount.text("mountPath")] = path
	}
	return mounts
}

// checkNetconf has kactus parse the netconf, and compares its paths with the platform's.
func (p platform) checkNetconf(t *testing.T, text string, mounts map[string]string) {
	t.Helper()
	var keys map[string]any
	must(t, json.Unmarshal([]byte(text), &keys))
	delegates, _ := keys["delegates"].([]any)
	if !strings.Contains(text, "masterPlugin") { // as the installer does
		keys["delegates"] = append(delegates, map[string]any{"type": "bridge", "masterPlugin": true})
	}
	whole, err := json.Marshal(keys)
	must(t, err)
	conf, err := netconf.Parse(whole)
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	for what, paths := range map[string][2]string{
		"kubeconfig":         {conf.Kubeconfig, filepath.Join(p.ConfDir, "kactus.d", "kactus-kubeconfig.yaml")},
		"confDir":            {conf.ConfDir, p.ConfDir},
		"podResourcesSocket": {conf.PodResourcesSocket, filepath.Join(p.KubeletDir, "pod-resources", "kubelet.sock")},
	} {
		if paths[0] != paths[1] {
			t.Errorf("%s is %s, want %s", what, paths[0], paths[1])
		}
	}
	// The ledger is the node's, and the locks go with a reboot: neither is in what is mounted.
	for mount := range mounts {
		for _, dir := range []string{conf.CNIDir, conf.LockDir} {
			if strings.HasPrefix(dir+"/", mount+"/") {
				t.Errorf("the installer mounts %s, which has kactus's own %s", mount, dir)
			}
		}
	}
}

// TestPlatforms_Document compares the table of docs/platforms.md with platforms.yaml.
func TestPlatforms_Document(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- made from platforms.yaml -->\n", "<!-- end -->\n"
	const path = "docs/platforms.md"
	document := read(t, path)
	before, rest, found := strings.Cut(document, begin)
	_, after, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		t.Fatalf("%s has no place for the table, between %q and %q", path, begin, end)
	}
	compare(t, path, before+begin+"\n"+platformTable(platforms(t))+"\n"+end+after)
}

// platformTable returns the table of the platforms, in Markdown.
func platformTable(all map[string]platform) string {
	var b strings.Builder
	b.WriteString("| platform | CNI plugins | CNI configurations | the installer mounts | kubelet | SELinux type | " +
		"priority class |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	code := func(s string) string {
		if s == "" {
			return "the runtime's"
		}
		return "`" + s + "`"
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := all[name]
		mounts := code(p.BinMount)
		if p.ConfMount != p.BinMount {
			mounts += ", " + code(p.ConfMount)
		}
		if p.BinMount == p.BinDir && p.ConfMount == p.ConfDir {
			mounts = "both"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", name, code(p.BinDir), code(p.ConfDir), mounts,
			code(p.KubeletDir), code(p.SELinuxType), code(p.PriorityClassName))
	}
	return b.String()
}
