package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestCRD(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	network := func(rest string) string {
		return "apiVersion: kaloom.com/v1\nkind: Network\nmetadata: {name: wrong}\n" + rest
	}
	for what, yaml := range map[string]string{
		"without spec":                      network(""),
		"whose spec is empty":               network("spec: {}"),
		"whose spec is a string":            network("spec: bridge"),
		"whose plugin is a number":          network("spec: {plugin: 7}"),
		"whose plugin is empty":             network("spec: {plugin: ''}"),
		"whose plugin has a slash":          network("spec: {plugin: bin/bridge}"),
		"whose plugin is a path upwards":    network("spec: {plugin: ../bridge}"),
		"whose config is an object":         network("spec: {plugin: bridge, config: {bridge: br0}}"),
		"whose config is an array":          network("spec: {plugin: bridge, config: '[]'}"),
		"whose config is not a JSON object": network("spec: {plugin: bridge, config: 'bridge=br0'}"),
		"with a misspelled key":             network("spec: {plugin: bridge, confg: '{}'}"),
		"whose name is not valid in a URL": strings.Replace(
			network("spec: {plugin: bridge}"), "wrong", "Wrong_Name", 1),
		"of an unknown version": strings.Replace(network("spec: {plugin: bridge}"), "/v1", "/v2", 1),
		"of an unknown kind": strings.Replace(
			network("spec: {plugin: bridge}"), "Network", "Netwerk", 1),
	} {
		t.Run("refuses a Network "+what, func(t *testing.T) {
			if out, err := kactustest.Kubectl(t.Context(), yaml, "apply", "-n", tn.Namespace, "-f", "-"); err == nil {
				t.Errorf("accepted: %s", out)
			}
		})
	}
	t.Run("accepts the examples", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(kactustest.Root(), "examples", "*-net.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("examples: %q, %v", files, err)
		}
		for _, file := range files {
			if _, err := kactustest.Kubectl(t.Context(), "", "apply", "-n", tn.Namespace, "-f", file); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("kubectl get net shows plugin and age", func(t *testing.T) {
		out, err := kactustest.Kubectl(t.Context(), "", "get", "net", "-n", tn.Namespace)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(out, "\n")
		if got := strings.Fields(lines[0]); strings.Join(got, " ") != "NAME PLUGIN AGE" {
			t.Errorf("columns: %q; want NAME PLUGIN AGE", got)
		}
		for _, line := range lines[1:] {
			if f := strings.Fields(line); len(f) > 0 && f[0] == "data" && (len(f) != 3 || f[1] != "bridge") {
				t.Errorf("line: %q; want the plugin bridge and the age", line)
			}
		}
		if !strings.Contains(out, "data") {
			t.Errorf("the network data is not listed:\n%s", out)
		}
	})
}
