package multus

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	flannelList = `{"cniVersion": "0.3.1", "name": "cbr0", "plugins": [
		{"type": "flannel", "delegate": {"isDefaultGateway": true}},
		{"type": "portmap", "capabilities": {"portMappings": true}}]}`
	kindnetList = `{"cniVersion": "0.3.1", "name": "kindnet", "plugins": [{"type": "ptp", "mtu": 1500}]}`
)

func file(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }

// node is the disk of a node with two networks, one of which is also in Multus's own directory.
func node() fstest.MapFS {
	return fstest.MapFS{
		"etc/cni/net.d/00-kactus.conf":             file(`{"type": "kactus", "name": "k"}`),
		"etc/cni/net.d/00-multus.conf":             file(`{"type": "multus", "name": "m"}`),
		"etc/cni/net.d/05-other.conflist":          file(`{"name": "x", "plugins": [{"type": "multus-shim"}]}`),
		"etc/cni/net.d/10-flannel.conflist":        file(flannelList),
		"etc/cni/net.d/20-kindnet.conflist":        file(kindnetList),
		"etc/cni/net.d/99-flannel.conf":            file(`{"name": "cbr0", "type": "flannel", "cniVersion": "0.3.1"}`),
		"etc/cni/net.d/cni-chain-config/10-t.conf": file(`{"type": "tuning", "sysctl": {"net.ipv4.ping": "1"}}`),
		"etc/cni/net.d/cni-chain-config/README":    file(`none`),
		"etc/cni/net.d/kindnet/30-sbr.conf":        file(`{"type": "sbr"}`),
		"etc/cni/multus/net.d/10-example.conf":     file(`{"name": "exampleNetwork", "type": "macvlan"}`),
		"etc/cni/multus/net.d/20-cbr0.conflist":    file(flannelList),
	}
}

// printed returns what an operator sees.
func printed(config json.RawMessage, notes []Note) string {
	var b strings.Builder
	b.Write(config)
	for _, note := range notes {
		fmt.Fprintln(&b, note)
	}
	return b.String()
}

// The golden files have the netconf, and after it a line for each key.
func TestConvert_Golden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.conf*")
	must(t, err)
	daemons, err := filepath.Glob("testdata/*.json")
	must(t, err)
	for _, name := range append(names, daemons...) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			must(t, err)
			config, notes, err := Convert(data, Files{FS: node()})
			must(t, err)
			got, golden := printed(config, notes), filepath.Join("testdata/golden", filepath.Base(name))
			if *update {
				must(t, os.WriteFile(golden, []byte(got), 0o600))
			}
			want, err := os.ReadFile(golden)
			must(t, err)
			if got != string(want) {
				t.Errorf("%s: got\n%s\nwant\n%s", golden, got, want)
			}
			_, invalid := netconf.ParseFile(config)
			if noted := notedInvalid(notes); (invalid != nil) != noted {
				t.Errorf("kactus validate: %v, but noted: %v", invalid, noted)
			}
		})
	}
}

func notedInvalid(notes []Note) bool {
	for _, n := range notes {
		if n.Key == "" {
			return true
		}
	}
	return false
}

// Every key of the input has a note, whatever it is.
func TestConvert_LosesNoKey(t *testing.T) {
	for _, value := range []string{`"x"`, `true`, `1`, `{}`, `[]`, `null`, `"a/b"`, `[{}]`, `["x"]`} {
		for _, k := range append(Keys(), Key{Name: "favorite"}, Key{Name: "PLUGIN"}) {
			if k.Name == "type" {
				continue
			}
			data := fmt.Sprintf(`{"type": "multus", %q: %s}`, k.Name, value)
			_, notes, err := Convert([]byte(data), Files{FS: node()})
			must(t, err)
			if !strings.Contains("\n"+printed(nil, notes), "\n"+k.Name) {
				t.Errorf("%s: got %v", data, notes)
			}
		}
	}
}

func TestConvert_NotMultus(t *testing.T) {
	for name, tt := range map[string]struct{ data, want string }{
		"kactus":         {`{"type": "kactus"}`, ErrNotMultus.Error()},
		"no type":        {`{"name": "n"}`, ErrNotMultus.Error()},
		"a list":         {`{"plugins": [{"type": "ptp"}]}`, ErrNotMultus.Error()},
		"a broken list":  {`{"plugins": {"type": "multus"}}`, ErrNotMultus.Error()},
		"two in a list":  {`{"plugins": [{"type": "multus"}, {"type": "multus"}]}`, "plugins[1]"},
		"no object":      {`[]`, "not a JSON object"},
		"null":           {`null`, "not a JSON object"},
		"nothing":        {``, "invalid JSON"},
		"a key twice":    {`{"type": "multus", "Type": "x"}`, "type"},
		"too much of it": {`{"type": "multus"}` + strings.Repeat(" ", netconf.MaxSize), "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Convert([]byte(tt.data), Files{FS: node()}); err == nil ||
				!strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// What a clusterNetwork names is looked for as Multus does.
func TestConvert_ClusterNetwork(t *testing.T) {
	const confDir, kindnetFile = "/etc/cni/net.d", "/etc/cni/net.d/20-kindnet.conflist"
	big := fmt.Sprintf(`{"name": "big", "type": "ptp", "x": %q}`, strings.Repeat("x", cniconf.MaxSize))
	disk := func(files ...string) fstest.MapFS { // a name and its content, the next name, …
		m := fstest.MapFS{}
		for i := 0; i < len(files); i += 2 {
			m[files[i]] = file(files[i+1])
		}
		return m
	}
	for name, tt := range map[string]struct {
		value, dir string
		files      fstest.MapFS
		want       string
	}{
		"a file":                    {kindnetFile, "", nil, "from " + kindnetFile},
		"as the container knows it": {"/host/etc/cni/net.d/99-flannel.conf", "", nil, "from /etc/cni/net.d/99-"},
		"a file elsewhere":          {"/x/y/20-kindnet.conflist", confDir, nil, "from " + kindnetFile},
		"a directory":               {"/host/etc/cni/net.d/", "", nil, "from /etc/cni/net.d/10-flannel.conflist"},
		"a directory elsewhere":     {"/x", "/etc/cni/multus/net.d", nil, "from /etc/cni/multus/net.d/10-example.conf"},
		"a name":                    {"cbr0", "", nil, "from /etc/cni/multus/net.d/20-cbr0.conflist"},
		"a name elsewhere":          {"kindnet", confDir, nil, "20-kindnet.conflist, with the plugins in"},
		"a NAD":                     {"kindnet", "", nil, "`kubectl -n kube-system get net-attach-def kindnet -o "},
		"what may be a NAD": {"cbr0", "", nil,
			"which must not exist: `kubectl -n kube-system get net-attach-def cbr0"},
		"a file that is missing": {"/x.conf", "", nil, "read /x.conf: file does not exist"},
		"an empty directory":     {"/x", "", disk("x/README", ""), "no configuration in /x but"},
		"kactus itself":          {confDir + "/00-kactus.conf", "", nil, "/00-kactus.conf: kactus's or"},
		"Multus in a list":       {confDir + "/05-other.conflist", "", nil, "/05-other.conflist: kactus's or"},
		"a broken file":          {"/x.conf", "", disk("x.conf", `{"type": `), "read /x.conf: invalid JSON"},
		"a broken list":          {"/x.conf", "", disk("x.conf", `{"plugins": 1}`), "read /x.conf: plugins"},
		"a broken plugin": {"/x.conf", "", disk("x.conf", kindnetList, "kindnet/a.conf", "[]"),
			"read /kindnet/a.conf: not a JSON object"},
		"a huge file": {"/x.conf", "", disk("x.conf", big), "read /x.conf: larger than"},
		"a pipe": {"/x.conf", "", fstest.MapFS{"x.conf": {Mode: os.ModeNamedPipe}},
			"read /x.conf: not a regular file"},
		"a list that is complete": {"/x.conf", "", disk("n/a.conf", "[]",
			"x.conf", `{"name": "n", "loadOnlyInlinedPlugins": true, "plugins": [{"type": "ptp"}]}`), "from /x.conf"},
		"a name that leads elsewhere": {"/d/x.conf", "", disk("a.conf", "[]",
			"d/x.conf", `{"name": "..", "plugins": [{"type": "ptp"}]}`), "from /d/x.conf"},
		"a path that leads above": {"../../etc/cni/net.d/99-flannel.conf", "", nil, "to decide: read"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.files == nil {
				tt.files = node()
			}
			data := fmt.Sprintf(`{"type": "multus", "clusterNetwork": %q}`, tt.value)
			config, notes, err := Convert([]byte(data), Files{FS: tt.files, Dir: tt.dir})
			must(t, err)
			if got := printed(nil, notes); !strings.Contains(got, tt.want) {
				t.Errorf("no %q in: %s", tt.want, got)
			}
			if _, err := netconf.Parse(config); (err == nil) != !notedInvalid(notes) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A delegate's keys are not Multus's, and keep their spelling.
func TestConvert_KeepsDelegates(t *testing.T) {
	data := `{"type": "multus", "delegates": [{"type": "x", "LogFile": "<a>", "n": 1.0, "s": "\u2028&"}]}`
	config, _, err := Convert([]byte(data), Files{FS: node()})
	must(t, err)
	var compact bytes.Buffer
	must(t, json.Compact(&compact, config))
	const want = `{"LogFile":"<a>","masterPlugin":true,"n":1.0,"s":"\u2028&","type":"x"}`
	if got := compact.String(); !strings.Contains(got, want) {
		t.Errorf("no %s in %s", want, got)
	}
}

func TestConvert_Values(t *testing.T) {
	for name, tt := range map[string]struct{ keys, netconf, notes string }{
		"isolation without the namespace default": {`"namespaceIsolation": true, "globalNamespaces": "infra"`,
			`"networkNamespace": "infra"`, "networkNamespace is infra"},
		"isolation with it": {`"namespaceIsolation": true, "globalNamespaces": "a,default"`,
			`"default"`, "globalNamespaces: an array\n"},
		"namespaces without isolation": {`"globalNamespaces": "a"`, `"a"`, "globalNamespaces: an array\n"},
		"a level in upper case":        {`"logLevel": "DEBUG"`, `"logLevel": "debug"`, "logLevel: debug"},
		"a level that is none":         {`"logLevel": "loud"`, `"name"`, `logLevel: no counterpart: "loud"`},
		"the default bin directory":    {`"binDir": "/opt/cni/bin/"`, `"name"`, "binDir: no counterpart"},
		"another bin directory":        {`"binDir": "/usr/libexec/cni"`, `"name"`, "binDir: to decide: "},
		"a rotated log": {`"logFile": "/l/m", "logOptions": {}`,
			`"/l/kactus.log"`, "logOptions: to decide: "},
		"no log to rotate":    {`"logOptions": {}`, `"name"`, "logOptions: no counterpart: "},
		"no default networks": {`"defaultNetworks": []`, `"name"`, "defaultNetworks: no counterpart: empty"},
		"default networks that do not count": {`"defaultNetworks": ["x"]`,
			`"name"`, "defaultNetworks: no counterpart: Multus passes"},
		"system namespaces that do not count": {`"systemNamespaces": ["x"]`,
			`"name"`, "systemNamespaces: no counterpart: only"},
		"no system namespaces, but their default": {`"clusterNetwork": "cbr0", "defaultNetworks": ["x"]`,
			`"name"`, "systemNamespaces: to decide: Pods in kube-system get"},
		"a key with a line break":  {`"a\nb": 1`, `"name"`, `"a\nb": to decide: not a key`},
		"a value of several lines": {"\"x\": {\n}", `"name"`, `with the value {}`},
		"a wrong type":             {`"defaultNetworks": "x"`, `"name"`, "to decide: must be an array"},
	} {
		t.Run(name, func(t *testing.T) {
			data := `{"type": "multus", "name": "n", "delegates": [{"type": "ptp", "name": "p"}], ` + tt.keys + `}`
			if strings.Contains(data, "clusterNetwork") {
				data = strings.Replace(data, `"delegates": [{"type": "ptp", "name": "p"}], `, "", 1)
			}
			config, notes, err := Convert([]byte(data), Files{FS: node()})
			must(t, err)
			got := printed(config, notes)
			if !strings.Contains(string(config), tt.netconf) || !strings.Contains(got, tt.notes) {
				t.Errorf("no %s, or no %q in: %s", tt.netconf, tt.notes, got)
			}
		})
	}
}

func FuzzConvert(f *testing.F) {
	names, _ := filepath.Glob("testdata/*")
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, notes, err := Convert(data, Files{FS: node()})
		if err != nil {
			return
		}
		if !json.Valid(config) {
			t.Errorf("not JSON: %s", config)
		}
		var invalid *netconf.Error
		if _, err := netconf.ParseFile(config); errors.As(err, &invalid) != notedInvalid(notes) {
			t.Errorf("kactus validate: %v; notes: %v", err, notes)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
