// Package chart tests the Helm chart, and the manifests that are made from it, with the real helm
// and kubectl. It needs neither root nor a cluster.
package chart

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// chartDir is the chart's directory, from the root of the tree.
const chartDir = "manifests/chart/kactus"

// tools builds helm and kubectl, once.
var tools = sync.OnceValues(func() (cluster.Binaries, error) {
	return cluster.Build(context.Background(), os.Stderr, cluster.Helm, cluster.Kubectl)
})

// root returns the root of the tree.
func root(t *testing.T) string {
	t.Helper()
	dir, err := cluster.FindRoot(".")
	must(t, err)
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root(t), path))
	must(t, err)
	return string(content)
}

// run runs helm or kubectl in the root of the tree. The error has what it printed on stderr.
func run(t *testing.T, tool cluster.Part, args ...string) (string, error) {
	t.Helper()
	binaries, err := tools()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), binaries[tool], args...)
	cmd.Dir = root(t)
	home := t.TempDir() // neither plugins nor repositories of whoever runs the test
	cmd.Env = append(os.Environ(), "KUBECONFIG=/dev/null", "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home,
		"HELM_CACHE_HOME="+home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = errors.New(stderr.String() + string(out))
	}
	return string(out), err
}

// template renders the chart as for the namespace kube-system.
func template(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return run(t, cluster.Helm, append([]string{"template", "kactus", chartDir, "--namespace=kube-system"}, args...)...)
}

// An object is one of Kubernetes, decoded.
type object map[string]any

// at returns the value at a path of keys and, in lists, of the names of elements. It is nil where
// there is none.
func (o object) at(path ...string) any {
	var value any = map[string]any(o)
	for _, key := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			i := slices.IndexFunc(v, func(e any) bool { m, ok := e.(map[string]any); return ok && m["name"] == key })
			if i < 0 {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// text returns the string at a path, or an empty one.
func (o object) text(path ...string) string {
	s, _ := o.at(path...).(string)
	return s
}

// objects decodes manifests. The keys are kinds and names.
func objects(t *testing.T, manifests string) map[string]object {
	t.Helper()
	found := map[string]object{}
	for _, document := range strings.Split("\n"+manifests, "\n---") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		if o == nil {
			continue
		}
		key := o.text("kind") + "/" + o.text("metadata", "name")
		if _, twice := found[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		found[key] = o
	}
	return found
}

// render returns the objects of the chart.
func render(t *testing.T, args ...string) map[string]object {
	t.Helper()
	out, err := template(t, args...)
	must(t, err)
	return objects(t, out)
}

// build returns the objects of a kustomization.
func build(t *testing.T, dir string) map[string]object {
	t.Helper()
	out, err := run(t, cluster.Kubectl, "kustomize", dir)
	must(t, err)
	return objects(t, out)
}

func names(objects map[string]object) []string { return slices.Sorted(maps.Keys(objects)) }

// A platform is an entry of platforms.yaml.
type platform struct {
	BinDir, BinMount, ConfDir, ConfMount, KubeletDir, SELinuxType, SCC string
	PriorityClassName                                                  string
}

// platforms returns platforms.yaml, with the defaults of what an entry leaves out.
func platforms(t *testing.T) map[string]platform {
	t.Helper()
	var all map[string]platform
	must(t, yaml.UnmarshalStrict([]byte(read(t, chartDir+"/platforms.yaml")), &all))
	for name, p := range all {
		if p.BinMount == "" {
			p.BinMount = p.BinDir
		}
		if p.ConfMount == "" {
			p.ConfMount = p.ConfDir
		}
		all[name] = p
	}
	return all
}

func TestChart_Lint(t *testing.T) {
	t.Parallel()
	for name := range platforms(t) {
		if out, err := run(t, cluster.Helm, "lint", "--strict", chartDir, "--set", "platform="+name); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
