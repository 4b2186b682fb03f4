package chart

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the manifests that are made from the chart")

// generated are the files that are made from the chart, each from some templates, with values that
// make them not empty.
var generated = map[string]struct {
	templates []string
	values    string
}{
	"manifests/network-crd.yaml":                    {[]string{"network-crd"}, ""},
	"manifests/kactus-serviceaccount-and-rbac.yaml": {[]string{"rbac"}, ""},
	"manifests/kactus-ds.yaml":                      {[]string{"installer"}, ""},
	"manifests/kactus-agent.yaml":                   {[]string{"agent-rbac", "agent-policy", "agent-daemonset"}, ""},
	"manifests/network-attachment-definition-crd.yaml": {
		[]string{"network-attachment-definition-crd"}, "crds.networkAttachmentDefinition=true"},
	"examples/policy/restrict-cni-args.yaml": {
		[]string{"restrict-cni-args"}, "policies.restrictCNIArgs=true"},
	"examples/policy/restrict-networks.yaml": {
		[]string{"restrict-networks"}, "policies.restrictNetworks.enabled=true"},
}

const notice = "# Made from the chart by scripts/manifests.sh. To change it, change manifests/chart/kactus.\n"

// kustomizationOf returns the directory of a platform's kustomization.
func kustomizationOf(platform string) string {
	if platform == "kubeadm" {
		return "manifests" // written by hand, for files that have names of their own
	}
	return "manifests/platforms/" + platform
}

const kustomization = `# kubectl apply -k %s installs everything.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - kactus.yaml
images:
  - name: kactus
    newName: kactus
    newTag: latest
`

// TestManifests_AreUpToDate makes the manifests again, and compares them with those of the tree.
func TestManifests_AreUpToDate(t *testing.T) {
	t.Parallel()
	want := map[string]string{}
	for path, from := range generated {
		var documents []string
		for _, name := range from.templates {
			documents = append(documents, show(t, "--show-only=templates/"+name+".yaml", "--set="+from.values))
		}
		want[path] = notice + strings.Join(documents, "---\n")
	}
	for name := range platforms(t) {
		if dir := kustomizationOf(name); dir != "manifests" {
			want[dir+"/kactus.yaml"] = notice + show(t, "--set=platform="+name)
			want[dir+"/kustomization.yaml"] = notice + fmt.Sprintf(kustomization, dir)
		}
	}
	for path, content := range want {
		compare(t, path, content)
	}
}

// added matches what helm adds around a document.
var added = regexp.MustCompile(`\n*(^|\n)---\n# Source: [^\n]*\n`)

// show renders the chart without what helm adds.
func show(t *testing.T, args ...string) string {
	t.Helper()
	out, err := template(t, args...)
	must(t, err)
	return strings.TrimPrefix(strings.TrimRight(added.ReplaceAllString(out, "\n---\n"), "\n")+"\n", "\n---\n")
}

// compare compares a file of the tree with what it should be, or writes it.
func compare(t *testing.T, path, want string) {
	t.Helper()
	file := filepath.Join(root(t), path)
	if *update {
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(want), 0o644))
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s is not what the chart makes (%v): run scripts/manifests.sh", path, err)
	}
}

// TestManifests_EqualChart compares what kubectl apply -k and helm install would create.
func TestManifests_EqualChart(t *testing.T) {
	t.Parallel()
	for platform := range platforms(t) {
		dir := kustomizationOf(platform)
		got, want := build(t, dir), render(t, "--set=platform="+platform)
		if !reflect.DeepEqual(names(got), names(want)) {
			t.Errorf("%s has %q, and the chart has %q", dir, names(got), names(want))
		}
		for key := range want {
			if !reflect.DeepEqual(got[key], want[key]) {
				t.Errorf("%s in %s differs from that of the chart:\n%v\n%v", key, dir, got[key], want[key])
			}
		}
	}
}
