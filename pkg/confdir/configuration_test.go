package confdir

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write writes the files of a directory.
func write(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoad(t *testing.T) {
	const calico = `{"name": "k8s-pod-network", "cniVersion": "0.3.1", "plugins": [
		{"type": "calico", "ipam": {"type": "calico-ipam"}, "policy": {"type": "k8s"}, "mtu": 0},
		{"type": "portmap", "snat": true, "capabilities": {"portMappings": true}},
		{"type": "bandwidth", "capabilities": {"bandwidth": true}}]}`
	dir := write(t, map[string]string{
		"10-calico.conflist": calico,
		"20-one.conf":        `{"name": "one", "type": "ptp", "cniVersion": "0.4.0", "args": {"cni": {"a": 1}}}`,
		"30-old.json":        `{"name": "old", "type": "ptp"}`,
		"40-many.conflist": `{"name": "many", "cniVersions": ["0.3.1", "1.1.0"], "disableCheck": true,
			"plugins": [{"type": "ptp"}]}`,
		"50-parts.conflist": `{"name": "parts", "cniVersion": "1.1.0", "plugins": [{"type": "ptp"}]}`,
		"parts/10-a.conf":   `{"type": "tuning"}`, "parts/20-b.conf": `{"type": "sbr"}`, "parts/README": `{`,
		"60-whole.conflist": `{"name": "whole", "cniVersion": "1.1.0", "loadOnlyInlinedPlugins": true,
			"plugins": [{"type": "ptp"}]}`,
		"whole/10-a.conf": `{"type": "tuning"}`,
	})
	for _, tt := range []struct{ file, name, version, types string }{
		{"10-calico.conflist", "k8s-pod-network", "0.3.1", "calico portmap bandwidth"},
		{"20-one.conf", "one", "0.4.0", "ptp"},
		{"30-old.json", "old", "0.1.0", "ptp"},
		{"40-many.conflist", "many", "1.1.0", "ptp"},
		{"50-parts.conflist", "parts", "1.1.0", "ptp tuning sbr"},
		{"60-whole.conflist", "whole", "1.1.0", "ptp"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			c, err := Load(filepath.Join(dir, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			types := strings.Join(c.Chain.Types(), " ")
			if c.Chain.Name != tt.name || c.Chain.CNIVersion != tt.version || types != tt.types || c.Changed.IsZero() {
				t.Errorf("got %+v", c)
			}
		})
	}
	t.Run("nothing of a list is lost", func(t *testing.T) {
		c, err := Load(filepath.Join(dir, "10-calico.conflist"))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := json.Marshal(c.List)
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(calico), &want); err != nil {
			t.Fatal(err)
		}
		if wanted, _ := json.Marshal(want); string(got) != string(wanted) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("nothing of one plugin is lost", func(t *testing.T) {
		c, err := Load(filepath.Join(dir, "20-one.conf"))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(c.List["plugins"]); !strings.Contains(got, `"args": {"cni": {"a": 1}}`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("described", func(t *testing.T) {
		c, _ := Load(filepath.Join(dir, "10-calico.conflist"))
		want := "k8s-pod-network (calico, portmap, bandwidth) of " + c.Path
		if got := c.Describe(); got != want {
			t.Errorf("got %s", got)
		}
	})
}

func TestLoad_NoDefaultNetwork(t *testing.T) {
	for name, tt := range map[string]struct{ file, content, want string }{
		"cut short":                         {"a.conf", `{"name": "a"`, "a.conf: "},
		"empty":                             {"a.conf", ``, "a.conf: "},
		"no object":                         {"a.conf", `[]`, "not a JSON object"},
		"a key that is there twice":         {"a.conf", `{"name": "a", "type": "ptp", "type": "x"}`, "type"},
		"a list under another name":         {"a.conf", `{"name": "a", "plugins": [{"type": "ptp"}]}`, ".conflist"},
		"no plugins":                        {"a.conflist", `{"name": "a", "plugins": []}`, "plugins"},
		"one plugin under the name of list": {"a.conflist", `{"name": "a", "type": "ptp"}`, "plugins"},
		"no name":                           {"a.conf", `{"type": "ptp"}`, "name"},
		"no type":                           {"a.conf", `{"name": "a"}`, "type"},
		"an unknown version":                {"a.conf", `{"name": "a", "type": "ptp", "cniVersion": "9.0.0"}`, "9.0.0"},
		"a plugin outside of CNI_PATH":      {"a.conf", `{"name": "a", "type": "../ptp"}`, "../ptp"},
		"kactus":                            {"a.conf", `{"name": "a", "type": "kactus"}`, "kactus itself"},
		"a list with kactus": {"a.conflist", `{"name": "a", "plugins": [{"type": "kactus"}, {"type": "mesh"}]}`,
			"kactus itself"},
		"Multus": {"00-multus.conf", `{"name": "m", "type": "multus", "delegates": [{"type": "ptp"}]}`,
			"that of Multus"},
		"Multus's shim": {"00-multus.conf", `{"name": "m", "type": "multus-shim", "clusterNetwork": "/x"}`,
			"that of Multus"},
		"Multus in a list": {"m.conflist", `{"name": "m", "plugins": [{"type": "multus"}]}`, "that of Multus"},
		"the loopback":     {"99-loopback.conf", `{"name": "lo", "type": "loopback"}`, "loopback"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{tt.file: tt.content})
			_, err := Load(filepath.Join(dir, tt.file))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.file) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	t.Run("a plugin's own file that is broken", func(t *testing.T) {
		dir := write(t, map[string]string{"a.conflist": `{"name": "a", "plugins": [{"type": "ptp"}]}`, "a/x.conf": `{`})
		if _, err := Load(dir + "/a.conflist"); err == nil || !strings.Contains(err.Error(), "/a/x.conf") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a file that is missing", func(t *testing.T) {
		if _, err := Load(t.TempDir() + "/a.conf"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFiles(t *testing.T) {
	dir := write(t, map[string]string{
		"b.conf": "", "a.json": "", "c.conflist": "", "a.conf.cilium_bak": "", "d.conf/x": "", "A.conf": "",
	})
	got, err := Files(dir)
	for i := range got {
		got[i] = filepath.Base(got[i])
	}
	if want := []string{"A.conf", "a.json", "b.conf", "c.conflist"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := Files(dir + "/missing"); err == nil {
		t.Error("a directory that is missing: got no error")
	}
}
