package netconf

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// with is a valid netconf with these keys beside, or in the place of, its own.
func with(keys string) []byte {
	conf := map[string]json.RawMessage{
		"cniVersion": json.RawMessage(`"1.0.0"`),
		"name":       json.RawMessage(`"kactus-net"`),
		"type":       json.RawMessage(`"kactus"`),
		"delegates":  json.RawMessage(`[{"type": "ptp", "masterPlugin": true}]`),
	}
	var more map[string]json.RawMessage
	if err := json.Unmarshal([]byte("{"+keys+"}"), &more); err != nil {
		panic(err)
	}
	for key, value := range more {
		conf[key] = value
	}
	data, err := json.Marshal(conf)
	if err != nil {
		panic(err)
	}
	return data
}

func TestDefaults(t *testing.T) {
	conf, err := Parse(with(""))
	if err != nil {
		t.Fatal(err)
	}
	if conf.Name != "kactus-net" || conf.CNIVersion != "1.0.0" || conf.Kubeconfig != "" || conf.CNIDir != "/var/lib/cni/kactus" ||
		conf.NetworkNamespace != "default" || conf.NamespaceIsolation || conf.APITimeout != 30*time.Second ||
		conf.DelegateTimeout != 60*time.Second || conf.LogLevel != nil || conf.LogFile != "" || len(conf.Auxiliary) != 0 {
		t.Errorf("got %+v", conf)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		behaviour, keys string
		holds           func(Conf) bool
	}{
		{"kubeconfig is a path", `"kubeconfig": "/etc/k.yaml"`, func(c Conf) bool { return c.Kubeconfig == "/etc/k.yaml" }},
		{"cniDir is a path", `"cniDir": "/var/l"`, func(c Conf) bool { return c.CNIDir == "/var/l" }},
		{"networkNamespace is read", `"networkNamespace": "nets"`, func(c Conf) bool { return c.NetworkNamespace == "nets" }},
		{"namespaceIsolation is read", `"namespaceIsolation": true`, func(c Conf) bool { return c.NamespaceIsolation }},
		{"apiTimeout is a duration", `"apiTimeout": "1m30s"`, func(c Conf) bool { return c.APITimeout == 90*time.Second }},
		{"parallelDelegates is a number", `"parallelDelegates": 2`, func(c Conf) bool { return c.ParallelDelegates == 2 }},
		{"delegateTimeout is a duration", `"delegateTimeout": "500ms"`, func(c Conf) bool { return c.DelegateTimeout == 500*time.Millisecond }},
		{"logLevel is a number", `"logLevel": 3`, func(c Conf) bool { return *c.LogLevel == LevelDebug }},
		{"logLevel is a number in quotes", `"logLevel": "0"`, func(c Conf) bool { return *c.LogLevel == LevelNone }},
		{"logLevel is a name", `"logLevel": "info"`, func(c Conf) bool { return *c.LogLevel == LevelInfo }},
		{"logFile is a path", `"logFile": "/var/log/k.log"`, func(c Conf) bool { return c.LogFile == "/var/log/k.log" }},
		{"runtimeConfig is kept as it is", `"runtimeConfig": {"portMappings": [{"hostPort": 1}]}`,
			func(c Conf) bool { return string(c.RuntimeConfig["portMappings"]) == `[{"hostPort":1}]` }},
		{"the keys of every CNI configuration are accepted", `"args": {}, "capabilities": {"portMappings": true}, "dns": {}, "prevResult": {}, "ipam": {}, "ipMasq": true, "disableCheck": true, "disableGC": true`,
			func(Conf) bool { return true }},
		{"the specification's own keys are accepted", `"cni.dev/valid-attachments": [], "cni.dev/new": 1`, func(Conf) bool { return true }},
		{"disableCheck and disableGC are read", `"disableCheck": true, "disableGC": true`, func(c Conf) bool { return c.DisableCheck && c.DisableGC }},
		{"prevResult is kept as it is", `"prevResult": {"ips": []}`, func(c Conf) bool { return string(c.PrevResult) == `{"ips":[]}` }},
		{"valid attachments are read", `"cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}], "cni.dev/attachments": []`,
			func(c Conf) bool { return len(c.ValidAttachments) == 1 && c.ValidAttachments[0].ContainerID == "a" }},
		{"valid attachments are read under the key of a draft", `"cni.dev/attachments": [{"containerID": "a", "ifname": "eth0"}]`,
			func(c Conf) bool { return len(c.ValidAttachments) == 1 }},
		{"no list of valid attachments is not an empty one", ``, func(c Conf) bool { return c.ValidAttachments == nil }},
		{"an empty list of valid attachments is one", `"cni.dev/valid-attachments": []`, func(c Conf) bool { return c.ValidAttachments != nil }},
		{"a list of valid attachments that is null is an empty one", `"cni.dev/valid-attachments": null`, func(c Conf) bool { return c.ValidAttachments != nil }},
		{"no cniVersion is 0.1.0", `"cniVersion": ""`, func(c Conf) bool { return c.CNIVersion == "0.1.0" && c.Master.CNIVersion == "0.1.0" }},
		{"the master delegate is named by the netconf", ``, func(c Conf) bool { return c.Master.Name == "kactus-net" && c.Master.Plugins[0].Type == "ptp" }},
		{"the master delegate may have a name of its own", `"delegates": [{"type": "ptp", "name": "own", "masterPlugin": true}]`, func(c Conf) bool { return c.Master.Name == "own" }},
		{"masterPlugin does not reach the plugin", ``, func(c Conf) bool {
			stdin, err := c.Master.Plugins[0].Stdin(nil)
			return err == nil && !strings.Contains(string(stdin), "masterPlugin")
		}},
		{"a delegate can be a chain", `"delegates": [{"masterPlugin": true, "plugins": [{"type": "ptp"}, {"type": "portmap"}]}]`,
			func(c Conf) bool { return len(c.Master.Plugins) == 2 && c.Master.Plugins[1].Type == "portmap" }},
		{"the other delegates keep their order", `"delegates": [{"type": "a", "name": "blue"}, {"type": "ptp", "masterPlugin": true}, {"type": "b", "name": "green", "masterPlugin": false}]`,
			func(c Conf) bool {
				return len(c.Auxiliary) == 2 && c.Auxiliary[0].Name == "blue" && c.Auxiliary[1].Name == "green"
			}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			conf, err := Parse(with(tt.keys))
			if err != nil {
				t.Fatal(err)
			}
			if !tt.holds(conf) {
				t.Errorf("got %+v", conf)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		behaviour, keys string
		says            string
	}{
		{"an unknown key", `"namespaceIsolaton": true`, "namespaceIsolaton: "},
		{"a known key in another case", `"CNIDir": "/x"`, "CNIDir: "},
		{"an empty name", `"name": ""`, "name: "},
		{"a name with a slash", `"name": "a/b"`, "name: "},
		{"a name that is a number", `"name": 1`, "name: not a string"},
		{"a type that is a number", `"type": 1`, "type: not a string"},
		{"a null", `"kubeconfig": null`, "kubeconfig: not a string"},
		{"a version that kactus does not speak yet", `"cniVersion": "1.2.0"`, "cniVersion: "},
		{"disableCheck in quotes", `"disableCheck": "true"`, "disableCheck: "},
		{"disableGC that is a number", `"disableGC": 1`, "disableGC: "},
		{"valid attachments that are an object", `"cni.dev/valid-attachments": {}`, "cni.dev/valid-attachments: "},
		{"a valid attachment of no container", `"cni.dev/valid-attachments": [{"containerID": "a"}, {"ifname": "eth0"}]`, "cni.dev/valid-attachments[1]: containerID: "},
		{"a relative kubeconfig", `"kubeconfig": "k.yaml"`, "kubeconfig: "},
		{"a cniDir that climbs", `"cniDir": "/var/../etc"`, "cniDir: "},
		{"a relative logFile", `"logFile": "log"`, "logFile: "},
		{"a namespace that is none", `"networkNamespace": "A/b"`, "networkNamespace: "},
		{"isolation in quotes", `"namespaceIsolation": "true"`, "namespaceIsolation: "},
		{"a duration without a unit", `"apiTimeout": "30"`, "apiTimeout: "},
		{"a duration that is a number", `"apiTimeout": 30`, "apiTimeout: "},
		{"no delegate at once", `"parallelDelegates": 0`, "parallelDelegates: "},
		{"too many delegates at once", `"parallelDelegates": 65`, "parallelDelegates: "},
		{"half a delegate at once", `"parallelDelegates": 1.5`, "parallelDelegates: "},
		{"a duration of zero", `"delegateTimeout": "0s"`, "delegateTimeout: "},
		{"a duration below zero", `"delegateTimeout": "-1s"`, "delegateTimeout: "},
		{"a level that is none", `"logLevel": 4`, "logLevel: "},
		{"a level that is an object", `"logLevel": {}`, "logLevel: "},
		{"runtimeConfig that is an array", `"runtimeConfig": []`, "runtimeConfig: "},
		{"no delegates", `"delegates": []`, "delegates: "},
		{"delegates that are an object", `"delegates": {}`, "delegates: not an array"},
		{"no master delegate", `"delegates": [{"type": "ptp", "name": "a"}]`, "delegates: none has"},
		{"two master delegates", `"delegates": [{"type": "ptp", "masterPlugin": true}, {"type": "ptp", "masterPlugin": true}]`, "delegates[1]: masterPlugin: delegates[0]"},
		{"masterPlugin in quotes", `"delegates": [{"type": "ptp", "masterPlugin": "true"}]`, "delegates[0]: masterPlugin: "},
		{"an auxiliary delegate without a name", `"delegates": [{"type": "ptp", "masterPlugin": true}, {"type": "bridge"}]`, "delegates[1]: name: "},
		{"a delegate that is a string", `"delegates": ["ptp"]`, "delegates[0]: "},
		{"a delegate without a type", `"delegates": [{"masterPlugin": true}]`, "delegates[0]: type: "},
		{"a delegate that is kactus", `"delegates": [{"type": "kactus", "masterPlugin": true}]`, "delegates[0]: type: "},
		{"a delegate that is a path", `"delegates": [{"type": "/bin/sh", "masterPlugin": true}]`, "delegates[0]: type: "},
		{"a path in a delegate's chain", `"delegates": [{"masterPlugin": true, "plugins": [{"type": "ptp"}, {"type": ".."}]}]`, "delegates[0]: plugins[1].type: "},
		{"two delegates with one device name", `"delegates": [{"type": "ptp", "masterPlugin": true}, {"type": "a", "name": "n-009b5fbe0257"}, {"type": "a", "name": "n-ee6b99c6809e"}]`, "netc78e9611f93e"},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			expectProblem(t, with(tt.keys), tt.says)
		})
	}
	for behaviour, in := range map[string]string{
		"the empty text": "", "white space": " \n", "an array": "[]", "null": "null", "half an object": `{"name": "a"`, "two objects": `{} {}`,
		"a key twice": `{"name": "a", "name": "b"}`, "a key twice in a delegate": `{"delegates": [{"masterPlugin": true, "masterPlugin": false}]}`,
		"more than 4 MiB": `{"name": "` + strings.Repeat("a", MaxSize) + `"}`,
	} {
		t.Run(behaviour, func(t *testing.T) {
			var invalid *Error
			if _, err := Parse([]byte(in)); !errors.As(err, &invalid) || !invalid.Undecodable {
				t.Errorf("got %v, want that it does not decode", err)
			}
		})
	}
}

func expectProblem(t *testing.T, netconf []byte, says string) {
	t.Helper()
	_, err := Parse(netconf)
	var invalid *Error
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want an *Error", err)
	}
	if !strings.Contains(invalid.Error(), says) {
		t.Errorf("the error %q does not say %q", invalid, says)
	}
}

func TestEveryProblemIsTold(t *testing.T) {
	_, err := Parse([]byte(`{"cniVersion": "9", "nam": 1, "logLevel": "loud", "apiTimeout": "5", "delegates": [{"type": "a/b"}, {"type": "x", "masterPlugin": 1}]}`))
	var invalid *Error
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	for _, field := range []string{"name: ", "cniVersion: ", "nam: ", "logLevel: ", "apiTimeout: ", "delegates[0]: name: ", "delegates[0]: type: ", "delegates[1]: masterPlugin: "} {
		found := false
		for _, problem := range invalid.Problems {
			found = found || strings.HasPrefix(problem, field)
		}
		if !found {
			t.Errorf("%q has no problem of %s", invalid.Problems, field)
		}
	}
	if !invalid.UnknownVersion {
		t.Error("the version is not said to be unknown")
	}
}

func TestParseForDel(t *testing.T) {
	for behaviour, in := range map[string][]byte{
		"delegates that do not parse":       with(`"delegates": [{"type": "../x"}], "cniDir": "/l"`),
		"an unknown key":                    with(`"foo": 1, "cniDir": "/l"`),
		"a later version":                   with(`"cniVersion": "9.0.0", "cniDir": "/l"`),
		"a kubeconfig that is a wrong type": with(`"kubeconfig": 1, "cniDir": "/l"`),
		"hardly anything":                   []byte(`{"cniDir": "/l"}`),
	} {
		t.Run(behaviour+" do not keep a DEL from the ledger", func(t *testing.T) {
			conf, warning, err := ParseForDel(in)
			if err != nil || warning == nil || conf.CNIDir != "/l" {
				t.Errorf("got %+v, %v, %v", conf, warning, err)
			}
		})
	}
	t.Run("a valid netconf gives no warning", func(t *testing.T) {
		conf, warning, err := ParseForDel(with(""))
		if err != nil || warning != nil || len(conf.Master.Plugins) != 1 {
			t.Errorf("got %+v, %v, %v", conf, warning, err)
		}
	})
	for behaviour, in := range map[string][]byte{"a ledger that cannot be named": with(`"cniDir": "l"`), "no object": []byte(`[]`)} {
		t.Run(behaviour+" is an error", func(t *testing.T) {
			if conf, _, err := ParseForDel(in); err == nil {
				t.Errorf("got %+v", conf)
			}
		})
	}
}

// FuzzParse: what is accepted has all that an ADD needs, and a DEL can do with it too.
func FuzzParse(f *testing.F) {
	for _, seed := range [][]byte{
		with(""), with(`"delegates": [{"masterPlugin": true, "plugins": [{"type": "ptp"}]}, {"name": "a", "type": "b"}]`),
		with(`"cniDir": "/a/../b"`), []byte(`{"delegates":[{"MasterPlugin":true}]}`), []byte(`{`), []byte(`null`),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		conf, err := Parse(data)
		forDel, _, delErr := ParseForDel(data)
		if err != nil {
			return
		}
		if len(conf.Master.Plugins) == 0 || conf.Name == "" || conf.CNIDir == "" || conf.CNIDir[0] != '/' || conf.APITimeout <= 0 || conf.DelegateTimeout <= 0 {
			t.Fatalf("accepted %q as %+v", data, conf)
		}
		if delErr != nil || forDel.CNIDir != conf.CNIDir {
			t.Fatalf("a DEL reads %+v (%v)", forDel, delErr)
		}
	})
}
