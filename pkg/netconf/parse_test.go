package netconf

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// netconfWith returns a valid netconf with keys, which are JSON, added or replaced.
func netconfWith(keys string) []byte {
	conf := map[string]json.RawMessage{
		"cniVersion": json.RawMessage(`"1.0.0"`),
		"name":       json.RawMessage(`"kactus-net"`),
		"type":       json.RawMessage(`"kactus"`),
		"delegates":  json.RawMessage(`[{"type": "ptp", "masterPlugin": true}]`),
	}
	if err := json.Unmarshal([]byte("{"+keys+"}"), &conf); err != nil {
		panic(err)
	}
	data, err := json.Marshal(conf)
	if err != nil {
		panic(err)
	}
	return data
}

func TestParse_Defaults(t *testing.T) {
	conf, err := Parse(netconfWith(""))
	if err != nil {
		t.Fatal(err)
	}
	if conf.Name != "kactus-net" || conf.CNIVersion != "1.0.0" || conf.Kubeconfig != "" ||
		conf.CNIDir != "/var/lib/cni/kactus" || conf.LockDir != "/run/kactus" ||
		conf.NetworkNamespace != "default" || conf.NamespaceIsolation ||
		conf.PodResourcesSocket != "/var/lib/kubelet/pod-resources/kubelet.sock" ||
		conf.APITimeout != 30*time.Second || conf.DelegateTimeout != 60*time.Second || conf.ParallelDelegates != 16 ||
		conf.LogLevel != nil || conf.LogFile != "" || conf.RuntimeConfig != nil || conf.Selection != nil ||
		conf.PrevResult != nil ||
		conf.DisableCheck || conf.DisableGC || conf.ValidAttachments != nil || len(conf.Auxiliary) != 0 {
		t.Errorf("got %+v", conf)
	}
}

func TestParse(t *testing.T) {
	accepted := func(Conf) bool { return true }
	tests := []struct {
		name, keys string
		ok         func(Conf) bool
	}{
		{"kubeconfig", `"kubeconfig": "/etc/k.yaml"`, func(c Conf) bool { return c.Kubeconfig == "/etc/k.yaml" }},
		{"cniDir", `"cniDir": "/var/l"`, func(c Conf) bool { return c.CNIDir == "/var/l" }},
		{"lockDir", `"lockDir": "/run/l"`, func(c Conf) bool { return c.LockDir == "/run/l" }},
		{"empty directories", `"cniDir": "", "lockDir": ""`,
			func(c Conf) bool { return c.CNIDir == DefaultCNIDir && c.LockDir == DefaultLockDir }},
		{"networkNamespace", `"networkNamespace": "nets"`, func(c Conf) bool { return c.NetworkNamespace == "nets" }},
		{"namespaceIsolation", `"namespaceIsolation": true`, func(c Conf) bool { return c.NamespaceIsolation }},
		{"globalNamespaces", `"globalNamespaces": ["infra", "nets"]`,
			func(c Conf) bool { return slices.Equal(c.GlobalNamespaces, []string{"infra", "nets"}) }},
		{"multusDir", `"multusDir": "/x/multus"`, func(c Conf) bool { return c.MultusDir == "/x/multus" }},
		{"multusDir by default", `"multusDir": ""`, func(c Conf) bool { return c.MultusDir == "/var/lib/cni/multus" }},
		{"confDir", `"confDir": "/etc/cni/multus/net.d"`,
			func(c Conf) bool { return c.ConfDir == "/etc/cni/multus/net.d" }},
		{"confDir by default", `"confDir": ""`, func(c Conf) bool { return c.ConfDir == "/etc/cni/net.d" }},
		{"podResourcesSocket", `"podResourcesSocket": "/run/kubelet.sock"`,
			func(c Conf) bool { return c.PodResourcesSocket == "/run/kubelet.sock" }},
		{"apiTimeout", `"apiTimeout": "1m30s"`, func(c Conf) bool { return c.APITimeout == 90*time.Second }},
		{"delegateTimeout", `"delegateTimeout": "500ms"`,
			func(c Conf) bool { return c.DelegateTimeout == 500*time.Millisecond }},
		{"a duration of 1 ns", `"delegateTimeout": "1ns"`, func(c Conf) bool { return c.DelegateTimeout == 1 }},
		{"parallelDelegates", `"parallelDelegates": 2`, func(c Conf) bool { return c.ParallelDelegates == 2 }},
		{"one delegate at a time", `"parallelDelegates": 1`, func(c Conf) bool { return c.ParallelDelegates == 1 }},
		{"64 delegates at a time", `"parallelDelegates": 64`, func(c Conf) bool { return c.ParallelDelegates == 64 }},
		{"logLevel as a number", `"logLevel": 3`, func(c Conf) bool { return *c.LogLevel == LevelDebug }},
		{"logLevel as a number in quotes", `"logLevel": "0"`, func(c Conf) bool { return *c.LogLevel == LevelNone }},
		{"logLevel as a name", `"logLevel": "info"`, func(c Conf) bool { return *c.LogLevel == LevelInfo }},
		{"logFile", `"logFile": "/var/log/k.log"`, func(c Conf) bool { return c.LogFile == "/var/log/k.log" }},
		{"runtimeConfig", `"runtimeConfig": {"portMappings": [{"hostPort": 1}]}`,
			func(c Conf) bool { return string(c.RuntimeConfig["portMappings"]) == `[{"hostPort":1}]` }},
		{"disableCheck alone", `"disableCheck": true`, func(c Conf) bool { return c.DisableCheck && !c.DisableGC }},
		{"disableGC alone", `"disableGC": true`, func(c Conf) bool { return !c.DisableCheck && c.DisableGC }},
		{"disableCheck in quotes", `"disableCheck": "true"`, func(c Conf) bool { return c.DisableCheck }},
		{"disableGC in quotes, in upper case", `"disableGC": "TRUE"`, func(c Conf) bool { return c.DisableGC }},
		{"false in quotes", `"disableCheck": "False"`, func(c Conf) bool { return !c.DisableCheck }},
		{"prevResult", `"prevResult": {"ips": []}`, func(c Conf) bool { return string(c.PrevResult) == `{"ips":[]}` }},
		{"null as prevResult", `"prevResult": null`, func(c Conf) bool { return c.PrevResult == nil }},
		{"no cniVersion", `"cniVersion": ""`,
			func(c Conf) bool { return c.CNIVersion == "0.1.0" && c.Master.CNIVersion == "0.1.0" }},
		{"keys of any CNI configuration",
			`"args": {}, "capabilities": {"portMappings": true}, "dns": {}, "ipam": {}, "ipMasq": true`, accepted},
		{"the capability of selections", `"capabilities": {"kaloom.com/selection": true}`, accepted},
		{"keys of the specification", `"cni.dev/valid-attachments": [], "cni.dev/new": 1`, accepted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conf, err := Parse(netconfWith(tt.keys))
			if err != nil {
				t.Fatal(err)
			}
			if !tt.ok(conf) {
				t.Errorf("got %+v", conf)
			}
		})
	}
}

func TestParse_ValidAttachments(t *testing.T) {
	const one = `[{"containerID": "a", "ifname": "eth0"}]`
	for name, tt := range map[string]struct {
		keys   string
		isNil  bool
		length int
	}{
		"missing":                {``, true, 0},
		"null":                   {`"cni.dev/valid-attachments": null`, false, 0},
		"empty":                  {`"cni.dev/valid-attachments": []`, false, 0},
		"one":                    {`"cni.dev/valid-attachments": ` + one, false, 1},
		"one in a draft's key":   {`"cni.dev/attachments": ` + one, false, 1},
		"the final key wins":     {`"cni.dev/valid-attachments": ` + one + `, "cni.dev/attachments": []`, false, 1},
		"null in a draft's key":  {`"cni.dev/attachments": null`, false, 0},
		"empty in a draft's key": {`"cni.dev/attachments": []`, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			conf, err := Parse(netconfWith(tt.keys))
			got := conf.ValidAttachments
			if err != nil || (got == nil) != tt.isNil || len(got) != tt.length {
				t.Fatalf("got %#v, %v", got, err)
			}
			if tt.length > 0 && (got[0].ContainerID != "a" || got[0].IfName != "eth0") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestParse_Errors(t *testing.T) {
	const (
		wantPath = ` must be an absolute path without "..", "//" or a trailing "/"`
		wantName = ` must begin with a letter or digit and have only those, '_', '.' and '-'`
	)
	tests := []struct{ name, keys, want string }{
		{"an unknown key", `"namespaceIsolaton": true`, "namespaceIsolaton: unknown key, with the value true"},
		{"a known key in another case", `"CNIDir": "/x"`, "CNIDir: unknown key"},
		{"no name", `"name": ""`, "name: missing"},
		{"a name with a slash", `"name": "a/b"`, `name: "a/b"` + wantName},
		{"a number as the name", `"name": 1`, "name: must be a string"},
		{"a number as the type", `"type": 1`, "type: must be a string"},
		{"null", `"kubeconfig": null`, "kubeconfig: must be a string"},
		{"a version of the future", `"cniVersion": "1.2.0"`,
			`cniVersion: "1.2.0" is not supported, must be one of 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0`},
		{"a number as the version", `"cniVersion": 1`, `cniVersion: must be a string`},
		{"a number in quotes as disableCheck", `"disableCheck": "1"`, "disableCheck: must be true or false"},
		{"null as disableGC", `"disableGC": null`, "disableGC: must be true or false"},
		{"a number as disableGC", `"disableGC": 1`, "disableGC: must be true or false"},
		{"an object as valid attachments", `"cni.dev/valid-attachments": {}`,
			"cni.dev/valid-attachments: must be an array of objects"},
		{"a number as valid attachments in a draft's key", `"cni.dev/attachments": 1`,
			"cni.dev/attachments: must be an array of objects"},
		{"a valid attachment without a container",
			`"cni.dev/valid-attachments": [{"containerID": "a"}, {"ifname": "eth0"}]`,
			"cni.dev/valid-attachments[1]: containerID: missing"},
		{"a relative kubeconfig", `"kubeconfig": "k.yaml"`, `kubeconfig: "k.yaml"` + wantPath},
		{"a cniDir with ..", `"cniDir": "/var/../etc"`, `cniDir: "/var/../etc"` + wantPath},
		{"a lockDir with a trailing slash", `"lockDir": "/run/kactus/"`, `lockDir: "/run/kactus/"` + wantPath},
		{"a relative logFile", `"logFile": "log"`, `logFile: "log"` + wantPath},
		{"a path with a NUL", `"logFile": "/log\u0000"`, `logFile: "/log\x00"` + wantPath},
		{"an invalid namespace", `"networkNamespace": "A/b"`, `networkNamespace: "A/b": `},
		{"a relative multusDir", `"multusDir": "multus"`, `multusDir: "multus" must be an absolute path`},
		{"an invalid global namespace", `"globalNamespaces": ["a", "A/b"]`, `globalNamespaces[1]: "A/b": `},
		{"global namespaces that are no array", `"globalNamespaces": "a,b"`,
			`globalNamespaces: must be an array of strings`},
		{"namespaceIsolation in quotes", `"namespaceIsolation": "true"`, "namespaceIsolation: must be true or false"},
		{"a relative path as the socket", `"podResourcesSocket": "kubelet.sock"`,
			`podResourcesSocket: "kubelet.sock" must be an absolute path`},
		{"a duration without a unit", `"apiTimeout": "30"`,
			`apiTimeout: "30" must be a duration above zero, such as 30s`},
		{"a number as a duration", `"apiTimeout": 30`, "apiTimeout: must be a string"},
		{"a duration of zero", `"delegateTimeout": "0s"`, `delegateTimeout: "0s" must be a duration above zero`},
		{"a duration below zero", `"delegateTimeout": "-1s"`, `delegateTimeout: "-1s" must be a duration above zero`},
		{"0 delegates at a time", `"parallelDelegates": 0`, "parallelDelegates: 0 must be between 1 and 64"},
		{"65 delegates at a time", `"parallelDelegates": 65`, "parallelDelegates: 65 must be between 1 and 64"},
		{"half a delegate at a time", `"parallelDelegates": 1.5`, "parallelDelegates: must be a whole number"},
		{"an unknown level", `"logLevel": 4`, `logLevel: "4" must be 0 or none, 1 or error, 2 or info, 3 or debug`},
		{"an object as a level", `"logLevel": {}`, "logLevel: must be a number or a name"},
		{"an array as runtimeConfig", `"runtimeConfig": []`, "runtimeConfig: must be an object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expectProblem(t, netconfWith(tt.keys), tt.want) })
	}
}

// expectProblem fails the test unless the netconf has one problem, which begins with want.
func expectProblem(t *testing.T, stdin []byte, want string) {
	t.Helper()
	_, err := Parse(stdin)
	var invalid *Error
	if !errors.As(err, &invalid) {
		t.Fatalf("got the error %v, want an *Error", err)
	}
	if len(invalid.Problems) != 1 || !strings.HasPrefix(invalid.Error(), want) {
		t.Errorf("got the problems %q, want %q", invalid.Problems, want)
	}
	if invalid.UnknownKeys != strings.Contains(want, "unknown key") {
		t.Errorf("got UnknownKeys = %v for %q", invalid.UnknownKeys, invalid.Problems)
	}
	if invalid.Undecodable || invalid.UnknownVersion != strings.Contains(want, "is not supported") {
		t.Errorf("got %+v", invalid)
	}
}

func TestParse_UnknownKeys(t *testing.T) {
	tests := []struct {
		name, keys, want string
		alone            bool
	}{
		{"one, with its value on one line", "\"foo\": {\"a\": [1,\n2]}",
			`foo: unknown key, with the value {"a":[1,2]}`, true},
		{"two", `"zz": null, "aa": "x"`,
			`aa: unknown key, with the value "x"; zz: unknown key, with the value null`, true},
		{"a long value", `"foo": "` + strings.Repeat("a", 1000) + `"`,
			`foo: unknown key, with the value "` + strings.Repeat("a", 63), true},
		{"one, and another problem", `"foo": 1, "logLevel": "loud"`,
			`logLevel: "loud" must be 0 or none, 1 or error, 2 or info, 3 or debug; foo: unknown key, with the value 1`,
			false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var invalid *Error
			_, err := Parse(netconfWith(tt.keys))
			if !errors.As(err, &invalid) || invalid.Error() != tt.want || invalid.UnknownKeys != tt.alone {
				t.Errorf("got %+v, want %q", err, tt.want)
			}
		})
	}
}

func TestParse_Undecodable(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"no text":        {"", "must not be empty"},
		"white space":    {" \n", "must not be empty"},
		"an array":       {"[]", "must be a JSON object"},
		"null":           {"null", "must be a JSON object"},
		"half an object": {`{"name": "a"`, "invalid JSON: unexpected end"},
		"two objects":    {`{} {}`, "invalid JSON: data follows the first value, which ends at byte 2"},
		"a key twice":    {`{"name": "a", "name": "b"}`, "name: key occurs twice"},
		"a delegate's key twice": {`{"delegates": [{"masterPlugin": true, "masterPlugin": false}]}`,
			"delegates[0].masterPlugin: key occurs twice"},
		"more bytes than MaxSize": {`{"name": "` + strings.Repeat("a", MaxSize) + `"}`,
			"larger than the limit of 4194304 bytes"},
		"white space over MaxSize": {strings.Repeat(" ", MaxSize+1), "larger than the limit of 4194304 bytes"},
		"white space of MaxSize":   {strings.Repeat(" ", MaxSize), "must not be empty"},
	} {
		t.Run(name, func(t *testing.T) {
			var invalid *Error
			_, err := Parse([]byte(tt.in))
			if !errors.As(err, &invalid) || !invalid.Undecodable || invalid.UnknownVersion ||
				invalid.Error() != tt.want {
				t.Errorf("got %+v, want %q", err, tt.want)
			}
		})
	}
}

func TestParse_ReportsEveryProblem(t *testing.T) {
	_, err := Parse([]byte(`{"cniVersion": "9", "zz": 1, "nam": 1, "logLevel": "loud", "apiTimeout": "5",
		"delegates": [{"type": "a/b"}, {"type": "x", "masterPlugin": 1}]}`))
	var invalid *Error
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	var got []string
	for _, problem := range invalid.Problems {
		got = append(got, problem[:strings.LastIndex(problem[:min(len(problem), 28)], ": ")])
	}
	want := []string{"name", "cniVersion", "apiTimeout", "logLevel", "delegates[0]: name", "delegates[0]: type",
		"delegates[1]: masterPlugin", "nam", "zz"}
	if !slices.Equal(got, want) || !invalid.UnknownVersion {
		t.Errorf("got the problems %q, want those of %q", invalid.Problems, want)
	}
}

func TestParse_ReturnsWhatIsValidWithTheError(t *testing.T) {
	t.Run("the log of a netconf with an unknown key", func(t *testing.T) {
		conf, err := Parse(netconfWith(`"foo": 1, "logLevel": "debug", "logFile": "/var/log/k.log"`))
		if err == nil || conf.LogLevel == nil || *conf.LogLevel != LevelDebug || conf.LogFile != "/var/log/k.log" {
			t.Errorf("got %+v, %v", conf, err)
		}
	})
	t.Run("defaults for what is invalid", func(t *testing.T) {
		conf, err := Parse(netconfWith(`"name": "a/b", "cniVersion": "9.0.0", "kubeconfig": "k", "cniDir": "c",
			"lockDir": 1, "networkNamespace": "A", "apiTimeout": "1", "delegateTimeout": "-1s", "parallelDelegates": 65,
			"logLevel": 9, "logFile": "f",
			"delegates": [{"type": "ptp", "masterPlugin": true}, {"type": "../x", "name": "a"}],
			"cni.dev/valid-attachments": [1]`))
		if err == nil || conf.Name != "" || conf.CNIVersion != "1.1.0" || conf.Kubeconfig != "" || conf.CNIDir != "" ||
			conf.LockDir != "" || conf.NetworkNamespace != DefaultNetworkNamespace ||
			conf.APITimeout != DefaultAPITimeout || conf.DelegateTimeout != DefaultDelegateTimeout ||
			conf.ParallelDelegates != DefaultParallelDelegates ||
			conf.LogLevel != nil || conf.LogFile != "" || conf.Master.Plugins != nil || conf.Auxiliary != nil ||
			conf.ValidAttachments != nil {
			t.Errorf("got %+v, %v", conf, err)
		}
	})
}

func TestParseForDel(t *testing.T) {
	for name, in := range map[string][]byte{
		"invalid delegates":     netconfWith(`"delegates": [{"type": "../x"}], "cniDir": "/l", "lockDir": "/r"`),
		"an unknown key":        netconfWith(`"foo": 1, "cniDir": "/l", "lockDir": "/r"`),
		"a later version":       netconfWith(`"cniVersion": "9.0.0", "cniDir": "/l", "lockDir": "/r"`),
		"an invalid kubeconfig": netconfWith(`"kubeconfig": 1, "cniDir": "/l", "lockDir": "/r"`),
		"directories alone":     []byte(`{"cniDir": "/l", "lockDir": "/r"}`),
	} {
		t.Run(name+" is a warning", func(t *testing.T) {
			conf, warning, err := ParseForDel(in)
			if err != nil || warning == nil || conf.CNIDir != "/l" || conf.LockDir != "/r" || conf.CNIVersion == "" {
				t.Errorf("got %+v, %v, %v", conf, warning, err)
			}
		})
	}
	t.Run("a valid netconf has no warning", func(t *testing.T) {
		conf, warning, err := ParseForDel(netconfWith(""))
		if err != nil || warning != nil || len(conf.Master.Plugins) != 1 {
			t.Errorf("got %+v, %v, %v", conf, warning, err)
		}
	})
	for name, in := range map[string][]byte{
		"a relative cniDir":    netconfWith(`"cniDir": "l", "logFile": "/f"`),
		"a number as cniDir":   netconfWith(`"cniDir": 1, "logFile": "/f"`),
		"a relative lockDir":   netconfWith(`"lockDir": "l", "logFile": "/f"`),
		"an array as netconf":  []byte(`[]`),
		"what is not yet JSON": []byte(`{"cniDir": "/l"`),
	} {
		t.Run(name+" is an error", func(t *testing.T) {
			conf, warning, err := ParseForDel(in)
			var invalid *Error
			if warning != nil || !errors.As(err, &invalid) || !invalid.Undecodable && conf.LogFile != "/f" {
				t.Errorf("got %+v, %v, %v", conf, warning, err)
			}
		})
	}
}

func TestParseLevel(t *testing.T) {
	for text, want := range map[string]Level{
		"0": LevelNone, "1": LevelError, "2": LevelInfo, "3": LevelDebug,
		"none": LevelNone, "error": LevelError, "info": LevelInfo, "debug": LevelDebug,
	} {
		if got, err := ParseLevel(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "4", "-1", "Info", "01"} {
		if got, err := ParseLevel(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

// FuzzParse: what Parse accepts has all that an ADD needs, and a DEL can use it too.
func FuzzParse(f *testing.F) {
	for _, seed := range [][]byte{
		netconfWith(""),
		netconfWith(`"delegates": [{"masterPlugin": true, "plugins": [{"type": "ptp"}]}, {"name": "a", "type": "b"}]`),
		netconfWith(`"cniDir": "/a/../b"`),
		[]byte(`{"delegates":[{"MasterPlugin":true}]}`), []byte(`{`), []byte(`null`),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		conf, err := Parse(data)
		forDel, _, delErr := ParseForDel(data)
		if err != nil {
			return
		}
		if len(conf.Master.Plugins) == 0 || conf.Name == "" || !strings.HasPrefix(conf.CNIDir, "/") ||
			!strings.HasPrefix(conf.LockDir, "/") || conf.APITimeout <= 0 || conf.DelegateTimeout <= 0 {
			t.Fatalf("accepted %q as %+v", data, conf)
		}
		if delErr != nil || forDel.CNIDir != conf.CNIDir || forDel.LockDir != conf.LockDir {
			t.Fatalf("a DEL gets %+v (%v)", forDel, delErr)
		}
		for _, chain := range append([]cniconf.Chain{conf.Master}, conf.Auxiliary...) {
			checkLikeParse(t, chain)
		}
	})
}

// checkLikeParse fails the test unless cniconf.Parse accepts the chain: a delegate has the same
// checks as a configuration from elsewhere.
func checkLikeParse(t *testing.T, chain cniconf.Chain) {
	t.Helper()
	list, err := chain.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := cniconf.Parse(list, cniconf.Defaults{}); err != nil || len(got.Plugins) != len(chain.Plugins) {
		t.Fatalf("cniconf.Parse reads %s as %+v (%v)", list, got, err)
	}
}
