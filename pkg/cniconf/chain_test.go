package cniconf

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

var testDefaults = Defaults{Name: "green", CNIVersion: "1.0.0", Keys: map[string]string{"networkName": "green"}}

// parsed is a Chain with what its plugins would read on stdin.
type parsed struct {
	Name, CNIVersion        string
	DisableCheck, DisableGC bool
	Stdin                   []string
}

func newParsed(t *testing.T, c Chain) parsed {
	t.Helper()
	p := parsed{Name: c.Name, CNIVersion: c.CNIVersion, DisableCheck: c.DisableCheck, DisableGC: c.DisableGC}
	for _, plugin := range c.Plugins {
		stdin, err := plugin.Stdin(nil)
		if err != nil {
			t.Fatal(err)
		}
		p.Stdin = append(p.Stdin, string(stdin))
	}
	return p
}

func TestParse(t *testing.T) {
	green := func(stdin ...string) parsed {
		return parsed{Name: "green", CNIVersion: "1.0.0", Stdin: stdin}
	}
	tests := []struct {
		name        string
		config      string
		defaultType string
		want        parsed
	}{
		{
			"the configuration of one plugin becomes a chain of one",
			`{"type": "vlan", "vlanId": 42}`, "",
			green(`{"networkName":"green","type":"vlan","vlanId":42}`),
		},
		{
			"a configuration without a type gets the default",
			`{"vlanId": 42}`, "vlan",
			green(`{"networkName":"green","type":"vlan","vlanId":42}`),
		},
		{
			"an empty configuration gets the default type",
			`{}`, "ptp",
			green(`{"networkName":"green","type":"ptp"}`),
		},
		{
			"the configuration's own name and version take precedence",
			`{"type": "ptp", "name": "n_1", "cniVersion": "0.3.1"}`, "ptp",
			parsed{Name: "n_1", CNIVersion: "0.3.1",
				Stdin: []string{`{"cniVersion":"0.3.1","name":"n_1","networkName":"green","type":"ptp"}`}},
		},
		{
			"an empty name and version get the defaults",
			`{"type": "ptp", "name": "", "cniVersion": ""}`, "",
			green(`{"cniVersion":"","name":"","networkName":"green","type":"ptp"}`),
		},
		{
			"a list keeps its plugins in order",
			`{"disableCheck": true, "disableGC": true, "plugins": [
				{"type": "bridge"}, {"type": "portmap", "capabilities": {"portMappings": true}}]}`, "",
			parsed{Name: "green", CNIVersion: "1.0.0", DisableCheck: true, DisableGC: true, Stdin: []string{
				`{"networkName":"green","type":"bridge"}`,
				`{"capabilities":{"portMappings":true},"networkName":"green","type":"portmap"}`,
			}},
		},
		{
			"keys of the tool that wrote a list, and of its plugins, are passed over",
			`{"toolID": "17f29b07", "toolLabels": {"example.com/default": "true"}, "type": "x", "ipam": {"type": "/x"},
				"later": [null, {"type": "../x"}], "plugins": [{"type": "bridge", "toolMTU": "auto"}]}`, "",
			green(`{"networkName":"green","toolMTU":"auto","type":"bridge"}`),
		},
		{
			"a long key of a list is passed over",
			`{"` + strings.Repeat("k", 100_000) + `": 1, "plugins": [{"type": "bridge"}]}`, "",
			green(`{"networkName":"green","type":"bridge"}`),
		},
		{
			"booleans of a list may be strings",
			`{"disableCheck": "true", "disableGC": "FALSE", "loadOnlyInlinedPlugins": "True",
				"plugins": [{"type": "bridge"}]}`, "",
			parsed{Name: "green", CNIVersion: "1.0.0", DisableCheck: true,
				Stdin: []string{`{"networkName":"green","type":"bridge"}`}},
		},
		{
			"booleans of one plugin may be strings",
			`{"type": "bridge", "disableCheck": "false", "disableGC": "tRUE"}`, "",
			parsed{Name: "green", CNIVersion: "1.0.0", DisableGC: true,
				Stdin: []string{`{"disableCheck":"false","disableGC":"tRUE","networkName":"green","type":"bridge"}`}},
		},
		{
			"a list may begin with the default type",
			`{"plugins": [{"type": "bridge"}]}`, "bridge",
			green(`{"networkName":"green","type":"bridge"}`),
		},
		{
			"every key of a list is accepted",
			`{"name": "green", "cniVersion": "1.0.0", "cniVersions": ["1.0.0"], "disableCheck": false,
				"disableGC": false, "loadOnlyInlinedPlugins": true, "plugins": [{"type": "bridge"}]}`, "",
			green(`{"networkName":"green","type":"bridge"}`),
		},
		{
			"the latest supported version of cniVersions is selected",
			`{"cniVersion": "0.4.0", "cniVersions": ["0.3.1", "1.1.0", "7.0.0"], "plugins": [{"type": "bridge"}]}`, "",
			parsed{Name: "green", CNIVersion: "1.1.0", Stdin: []string{`{"networkName":"green","type":"bridge"}`}},
		},
		{
			"a version later than all of cniVersions stays",
			`{"cniVersion": "0.4.0", "cniVersions": ["0.3.1", "0.4.0"], "plugins": [{"type": "bridge"}]}`, "",
			parsed{Name: "green", CNIVersion: "0.4.0", Stdin: []string{`{"networkName":"green","type":"bridge"}`}},
		},
		{
			"without a cniVersion, the latest of cniVersions is selected, and not the default",
			`{"cniVersions": ["0.3.1", "0.4.0", "0.3.0"], "plugins": [{"type": "bridge"}]}`, "",
			parsed{Name: "green", CNIVersion: "0.4.0", Stdin: []string{`{"networkName":"green","type":"bridge"}`}},
		},
		{
			"without a cniVersion, versions that are not supported are passed over",
			`{"cniVersion": "", "cniVersions": ["9.0.0", "1.1.0", "nine"], "plugins": [{"type": "bridge"}]}`, "",
			parsed{Name: "green", CNIVersion: "1.1.0", Stdin: []string{`{"networkName":"green","type":"bridge"}`}},
		},
		{
			"a cniVersion that is not supported is passed over if one of cniVersions is",
			`{"cniVersion": "9.0.0", "cniVersions": ["0.4.0"], "plugins": [{"type": "bridge"}]}`, "",
			parsed{Name: "green", CNIVersion: "0.4.0", Stdin: []string{`{"networkName":"green","type":"bridge"}`}},
		},
		{
			"an empty cniVersions leaves the default",
			`{"cniVersions": [], "plugins": [{"type": "bridge"}]}`, "",
			green(`{"networkName":"green","type":"bridge"}`),
		},
		{
			"large integers keep every digit",
			`{"type": "ptp", "id": 9007199254740993}`, "",
			green(`{"id":9007199254740993,"networkName":"green","type":"ptp"}`),
		},
		{
			"HTML characters are not escaped",
			`{"type": "ptp", "note": "<&>"}`, "",
			green(`{"networkName":"green","note":"<&>","type":"ptp"}`),
		},
		{
			"a nested type need not be the name of a plugin",
			`{"type": "fw", "rules": [{"type": 8}, {"type": "echo request"}]}`, "",
			green(`{"networkName":"green","rules":[{"type":8},{"type":"echo request"}],"type":"fw"}`),
		},
		{
			"an IPAM section may have no type",
			`{"type": "ptp", "ipam": {}}`, "",
			green(`{"ipam":{},"networkName":"green","type":"ptp"}`),
		},
		{
			"a networkName that is the same is accepted",
			`{"type": "ptp", "networkName": "green"}`, "",
			green(`{"networkName":"green","type":"ptp"}`),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			def := testDefaults
			def.Type = tt.defaultType
			chain, err := Parse([]byte(tt.config), def)
			if err != nil {
				t.Fatal(err)
			}
			if got := newParsed(t, chain); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParse_Errors(t *testing.T) {
	long := func(s string) string { return strings.Repeat(s, 100_000) }
	tests := []struct {
		name        string
		config      string
		defaultType string
		want        []string // parts of the error
	}{
		// Types.
		{"no type at all", `{}`, "", []string{"type: missing"}},
		{"not the default type", `{"type": "ptp"}`, "vlan", []string{`type: "ptp"`, `"vlan"`}},
		{"a list that begins with another type than the default", `{"plugins": [{"type": "ptp"}]}`, "vlan",
			[]string{`plugins[0].type: "ptp"`, `"vlan"`}},
		{"a list whose plugin has no type", `{"plugins": [{}]}`, "", []string{"plugins[0].type: missing"}},
		{"a path", `{"type": "/bin/sh"}`, "", []string{"type", "/bin/sh"}},
		{"the parent directory", `{"type": ".."}`, "", []string{"type", ".."}},
		{"a path through the parent directory", `{"type": "a/../../sh"}`, "", []string{"type"}},
		{"a NUL", `{"type": "a\u0000b"}`, "", []string{"type"}},
		{"kactus itself", `{"type": "kactus"}`, "", []string{"type", "own delegate"}},
		{"256 letters", `{"type": "` + strings.Repeat("a", 256) + `"}`, "", []string{"type"}},
		{"a type that is not a string", `{"type": 1}`, "", []string{"type: not a string"}},
		{"a type that is null", `{"type": null}`, "", []string{"type: not a string"}},
		{"a type that is not a string, in a list", `{"plugins": [{"type": 1}]}`, "",
			[]string{"plugins[0].type: not a string"}},

		// Types of plugins that plugins run.
		{"a path in a chain", `{"plugins": [{"type": "ptp"}, {"type": "../x"}]}`, "", []string{"plugins[1].type"}},
		{"a path as the IPAM plugin", `{"type": "ptp", "ipam": {"type": "../x"}}`, "", []string{"ipam.type"}},
		{"a path as the delegate of flannel", `{"type": "flannel", "delegate": {"type": "/x"}}`, "",
			[]string{"delegate.type"}},
		{"a path as the IPAM plugin of the second plugin",
			`{"plugins": [{"type": "ptp"}, {"type": "x", "ipam": {"type": "../x"}}]}`, "",
			[]string{"plugins[1].ipam.type"}},
		{"a path as the IPAM plugin of flannel's delegate",
			`{"type": "flannel", "delegate": {"type": "ptp", "ipam": {"type": "../x"}}}`, "",
			[]string{"delegate.ipam.type"}},
		{"a path among the delegates of another meta-plugin",
			`{"type": "multus", "delegates": [{"type": "ptp"}, {"plugins": [{"type": "/bin/sh"}]}]}`, "",
			[]string{"delegates[1].plugins[0].type"}},
		{"a nested path whose key is in another case", `{"type": "multus", "x": {"y": {"tYpe": ".."}}}`, "",
			[]string{"x.y.tYpe: a path"}},
		{"a nested path that is the directory itself", `{"type": "multus", "x": {"type": "."}}`, "",
			[]string{"x.type: a path"}},
		{"a nested path with escaped characters",
			`{"type": "multus", "x": {"\u0074ype": "\u002fbin\u002fsh"}}`, "", []string{"x.type"}},
		{"a nested path after white space", "{\"type\": \"multus\", \"x\": \n [ {\"type\" :\t\"a/b\"}]}", "",
			[]string{"x[0].type"}},
		{"an IPAM section that is not an object", `{"type": "ptp", "ipam": []}`, "", []string{"ipam"}},
		{"an IPAM type that is not a string", `{"type": "ptp", "ipam": {"type": 1}}`, "",
			[]string{"ipam.type: not a string"}},
		{"kactus as the IPAM plugin", `{"type": "ptp", "ipam": {"type": "kactus"}}`, "", []string{"ipam.type"}},

		// Keys that two parsers could read differently.
		{"a key of a tool twice", `{"toolLabels": {"a": 1, "a": 2}, "plugins": [{"type": "ptp"}]}`, "",
			[]string{"toolLabels.a", "twice"}},
		{"plugins twice", `{"plugins": [{"type": "ptp"}], "Plugins": [{"type": "sh"}]}`, "",
			[]string{"Plugins", "twice"}},
		{"a path in a key of a tool, of a plugin", `{"plugins": [{"type": "ptp", "tool": {"type": "../x"}}]}`, "",
			[]string{"plugins[0].tool.type: a path"}},
		{"a second type in another case", `{"type": "ptp", "Type": "sh"}`, "", []string{"Type", "twice"}},
		{"a type in another case, with a default", `{"TYPE": "sh"}`, "ptp", []string{"type", `"TYPE"`}},
		{"an IPAM type in another case", `{"type": "ptp", "ipam": {"tYpe": "x"}}`, "", []string{"ipam.type"}},
		{"an IPAM section in another case", `{"type": "ptp", "IPAM": {"type": "../x"}}`, "", []string{"ipam"}},
		{"a name twice", `{"type": "ptp", "name": "a", "name": "b"}`, "", []string{"name", "twice"}},
		{"a networkName twice", `{"type": "ptp", "networkName": "green", "networkName": "blue"}`, "",
			[]string{"networkName", "twice"}},
		{"the name of another network", `{"type": "ptp", "networkName": "blue"}`, "",
			[]string{"networkName", `"blue"`, `"green"`}},
		{"a networkName that is not a string", `{"type": "ptp", "networkName": 1}`, "",
			[]string{"networkName: not a string"}},

		// Form.
		{"a brace that closes early", `{"type": "ptp"}, "mtu": 1}`, "", []string{"follow"}},
		{"not JSON", `type: ptp`, "", []string{"invalid"}},
		{"an array", `[]`, "", []string{"not a JSON object"}},
		{"null", `null`, "", []string{"not a JSON object"}},
		{"plugins that are not an array", `{"plugins": {}}`, "", []string{"plugins"}},
		{"an empty list", `{"plugins": []}`, "", []string{"plugins"}},
		{"a plugin that is not an object", `{"plugins": [{"type": "ptp"}, null]}`, "", []string{"plugins[1]"}},
		{"a name that is not a string", `{"type": "ptp", "name": 1}`, "", []string{"name: not a string"}},
		{"a name with a slash", `{"type": "ptp", "name": "a/b"}`, "", []string{"name", "a/b"}},
		{"a version that is not a string", `{"type": "ptp", "cniVersion": 1}`, "",
			[]string{"cniVersion: not a string"}},
		{"a version that is not supported", `{"type": "ptp", "cniVersion": "1.2.3"}`, "",
			[]string{"cniVersion", "1.2.3"}},
		{"cniVersions none of which is supported",
			`{"plugins": [{"type": "ptp"}], "cniVersions": ["8.0.0", "9.0.0"]}`, "",
			[]string{`cniVersions: "8.0.0, 9.0.0" is not`}},
		{"long cniVersions",
			`{"plugins": [{"type": "ptp"}], "cniVersions": ["` + long("8") + `", "` + long("9") + `"]}`, "",
			[]string{`cniVersions: "888`}},
		{"cniVersions that are not an array", `{"plugins": [{"type": "ptp"}], "cniVersions": "1.0.0"}`, "",
			[]string{"cniVersions"}},
		{"capabilities that are not booleans", `{"type": "ptp", "capabilities": {"mac": "yes"}}`, "",
			[]string{"capabilities"}},
		{"a disableCheck that is not a boolean", `{"disableCheck": 1, "plugins": [{"type": "ptp"}]}`, "",
			[]string{"disableCheck"}},
		{"a disableCheck of another string", `{"disableCheck": "yes", "plugins": [{"type": "ptp"}]}`, "",
			[]string{"disableCheck: not true or false"}},
		{"a disableGC that is an empty string", `{"disableGC": "", "plugins": [{"type": "ptp"}]}`, "",
			[]string{"disableGC: not true or false"}},
		{"a disableGC that is not a boolean", `{"disableGC": 1, "plugins": [{"type": "ptp"}]}`, "",
			[]string{"disableGC"}},

		// Long values, which an error must not repeat.
		{"a long name", `{"type": "ptp", "name": "` + long("/") + `"}`, "", []string{"name"}},
		{"a long version", `{"type": "ptp", "cniVersion": "` + long("9") + `"}`, "", []string{"cniVersion"}},
		{"a long networkName", `{"type": "ptp", "networkName": "` + long("a") + `"}`, "", []string{"networkName"}},
		{"a long key twice", `{"type": "ptp", "` + long("k") + `": 1, "` + long("k") + `": 1}`, "",
			[]string{"kkk", "twice"}},
		{"more than MaxSize", `{"type": "ptp", "x": "` + strings.Repeat("a", MaxSize) + `"}`, "", []string{"1048576"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			def := testDefaults
			def.Type = tt.defaultType
			_, err := Parse([]byte(tt.config), def)
			if err == nil {
				t.Fatalf("no error, want one with %q", tt.want)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error %q does not contain %q", err, part)
				}
			}
			if len(err.Error()) > 512 {
				t.Errorf("the error has %d bytes: input is repeated", len(err.Error()))
			}
		})
	}
}

func TestParse_Limits(t *testing.T) {
	t.Run("a configuration of MaxSize", func(t *testing.T) {
		config := `{"type": "ptp", "x": ""}`
		config = config[:len(config)-2] + strings.Repeat("a", MaxSize-len(config)) + `"}`
		if _, err := Parse([]byte(config), testDefaults); err != nil || len(config) != MaxSize {
			t.Errorf("%d bytes: %v", len(config), err)
		}
	})
	t.Run("a type of 255 letters", func(t *testing.T) {
		if _, err := Parse([]byte(`{"type": "`+strings.Repeat("a", 255)+`"}`), testDefaults); err != nil {
			t.Error(err)
		}
	})
}

// The object of ParseObject is a part of a larger one, which was checked as a whole.
func TestParseObject(t *testing.T) {
	for name, config := range map[string]string{
		"a configuration": `{"type": "ptp", "mtu": 1400}`,
		"a list":          `{"plugins": [{"type": "bridge"}, {"type": "tuning"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var object map[string]json.RawMessage
			if err := json.Unmarshal([]byte(config), &object); err != nil {
				t.Fatal(err)
			}
			chain, err := ParseObject(object, testDefaults)
			if err != nil {
				t.Fatal(err)
			}
			same, err := Parse([]byte(config), testDefaults)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := newParsed(t, chain), newParsed(t, same); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
	t.Run("an error", func(t *testing.T) {
		object := map[string]json.RawMessage{"type": json.RawMessage(`"../sh"`)}
		if chain, err := ParseObject(object, testDefaults); err == nil || !strings.HasPrefix(err.Error(), "type: ") {
			t.Errorf("got %+v, %v", chain, err)
		}
	})
}
