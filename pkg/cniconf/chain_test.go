package cniconf

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

var defaults = Defaults{Name: "green", CNIVersion: "1.0.0", Keys: map[string]string{"networkName": "green"}}

func TestParse(t *testing.T) {
	tests := []struct {
		behaviour string
		in        string
		pluginIs  string // Defaults.Type
		want      string // the chain as JSON
	}{
		{"one plugin's configuration becomes a chain of one", `{"type": "vlan", "vlanId": 42}`, "",
			`{"cniVersion":"1.0.0","name":"green","plugins":[{"networkName":"green","type":"vlan","vlanId":42}]}`},
		{"a configuration without a type gets the plugin's", `{"vlanId": 42}`, "vlan",
			`{"cniVersion":"1.0.0","name":"green","plugins":[{"networkName":"green","type":"vlan","vlanId":42}]}`},
		{"an empty configuration gets the plugin's type", `{}`, "ptp",
			`{"cniVersion":"1.0.0","name":"green","plugins":[{"networkName":"green","type":"ptp"}]}`},
		{"the configuration's own name and version stay", `{"type": "ptp", "name": "n_1", "cniVersion": "0.3.1"}`, "ptp",
			`{"cniVersion":"0.3.1","name":"n_1","plugins":[{"cniVersion":"0.3.1","name":"n_1","networkName":"green","type":"ptp"}]}`},
		{"an empty name and version are filled in", `{"type": "ptp", "name": "", "cniVersion": ""}`, "",
			`{"cniVersion":"1.0.0","name":"green","plugins":[{"cniVersion":"","name":"","networkName":"green","type":"ptp"}]}`},
		{"a list keeps its plugins in order", `{"disableCheck": true, "disableGC": true, "plugins": [{"type": "bridge"}, {"type": "portmap", "capabilities": {"portMappings": true}}]}`, "",
			`{"cniVersion":"1.0.0","name":"green","disableCheck":true,"disableGC":true,"plugins":[{"networkName":"green","type":"bridge"},{"capabilities":{"portMappings":true},"networkName":"green","type":"portmap"}]}`},
		{"a list's first plugin may be named twice alike", `{"plugins": [{"type": "bridge"}]}`, "bridge",
			`{"cniVersion":"1.0.0","name":"green","plugins":[{"networkName":"green","type":"bridge"}]}`},
		{"of the versions that a list offers, the latest known one is taken", `{"cniVersion": "0.4.0", "cniVersions": ["0.3.1", "1.1.0", "7.0.0"], "plugins": [{"type": "bridge"}]}`, "",
			`{"cniVersion":"1.1.0","name":"green","plugins":[{"networkName":"green","type":"bridge"}]}`},
		{"large integers are kept to the digit", `{"type": "ptp", "id": 9007199254740993}`, "",
			`{"cniVersion":"1.0.0","name":"green","plugins":[{"id":9007199254740993,"networkName":"green","type":"ptp"}]}`},
		{"what is called type in a configuration need not be a plugin's", `{"type": "fw", "rules": [{"type": 8}, {"type": "echo request"}]}`, "",
			`{"cniVersion":"1.0.0","name":"green","plugins":[{"networkName":"green","rules":[{"type":8},{"type":"echo request"}],"type":"fw"}]}`},
		{"networkName may be there already, if it is the same", `{"type": "ptp", "networkName": "green"}`, "",
			`{"cniVersion":"1.0.0","name":"green","plugins":[{"networkName":"green","type":"ptp"}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			def := defaults
			def.Type = tt.pluginIs
			chain, err := Parse([]byte(tt.in), def)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(chain)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		behaviour string
		in        string
		pluginIs  string
		says      []string
	}{
		{"an empty configuration of no plugin", `{}`, "", []string{"type", "none"}},
		{"a type that is not the plugin's", `{"type": "ptp"}`, "vlan", []string{"type", `"ptp"`, `"vlan"`}},
		{"a list that begins with another plugin", `{"plugins": [{"type": "ptp"}]}`, "vlan", []string{"plugins[0].type", `"vlan"`}},
		{"a type that is a path", `{"type": "/bin/sh"}`, "", []string{"type", "/bin/sh"}},
		{"a type that climbs", `{"type": ".."}`, "", []string{"type", ".."}},
		{"a type that climbs in the middle", `{"type": "a/../../sh"}`, "", []string{"type"}},
		{"a type with a NUL", `{"type": "a\u0000b"}`, "", []string{"type"}},
		{"a type that is kactus itself", `{"type": "kactus"}`, "", []string{"type", "own delegate"}},
		{"a type of 256 letters", `{"type": "` + strings.Repeat("a", 256) + `"}`, "", []string{"type"}},
		{"a path in a chain, with the plugin's index", `{"plugins": [{"type": "ptp"}, {"type": "../x"}]}`, "", []string{"plugins[1].type"}},
		{"a path as the IPAM plugin", `{"type": "ptp", "ipam": {"type": "../x"}}`, "", []string{"ipam.type"}},
		{"a path as the delegate's delegate", `{"type": "flannel", "delegate": {"type": "/x"}}`, "", []string{"delegate.type"}},
		{"a path as the IPAM plugin of a chain's second plugin", `{"plugins": [{"type": "ptp"}, {"type": "x", "ipam": {"type": "../x"}}]}`, "", []string{"plugins[1].ipam.type"}},
		{"a path as the IPAM plugin of the delegate's delegate", `{"type": "flannel", "delegate": {"type": "ptp", "ipam": {"type": "../x"}}}`, "", []string{"delegate.ipam.type"}},
		{"a path among another meta-plugin's delegates", `{"type": "multus", "delegates": [{"type": "ptp"}, {"plugins": [{"type": "/bin/sh"}]}]}`, "", []string{"delegates[1].plugins[0].type"}},
		{"a path deep in a configuration, its key in another case", `{"type": "multus", "x": {"y": {"tYpe": ".."}}}`, "", []string{"x.y.tYpe"}},
		{"a path deep in a configuration, its key and its slash escaped", `{"type": "multus", "x": {"\u0074ype": "\u002fbin\u002fsh"}}`, "", []string{"x.type"}},
		{"a path deep in a configuration, with white space before it", "{\"type\": \"multus\", \"x\": \n [ {\"type\" :\t\"a/b\"}]}", "", []string{"x[0].type"}},
		{"an ipam section that is no object", `{"type": "ptp", "ipam": []}`, "", []string{"ipam"}},
		{"a second type in another case", `{"type": "ptp", "Type": "sh"}`, "", []string{"Type", "twice"}},
		{"a type in another case alone, beside the plugin's", `{"TYPE": "sh"}`, "ptp", []string{"type", `"TYPE"`}},
		{"the IPAM plugin's type in another case", `{"type": "ptp", "ipam": {"tYpe": "x"}}`, "", []string{"ipam.type"}},
		{"the ipam section in another case", `{"type": "ptp", "IPAM": {"type": "../x"}}`, "", []string{"ipam"}},
		{"a key that occurs twice", `{"type": "ptp", "name": "a", "name": "b"}`, "", []string{"name", "twice"}},
		{"networkName twice", `{"type": "ptp", "networkName": "green", "networkName": "blue"}`, "", []string{"networkName", "twice"}},
		{"another network's name", `{"type": "ptp", "networkName": "blue"}`, "", []string{"networkName", `"blue"`}},
		{"a configuration that closes its brace early", `{"type": "ptp"}, "mtu": 1}`, "", []string{"follow"}},
		{"what is not JSON", `type: ptp`, "", []string{"invalid"}},
		{"an array", `[]`, "", []string{"not a JSON object"}},
		{"null", `null`, "", []string{"not a JSON object"}},
		{"plugins that are not an array", `{"plugins": {}}`, "", []string{"plugins"}},
		{"an empty chain", `{"plugins": []}`, "", []string{"plugins"}},
		{"a chain's element that is no object", `{"plugins": [{"type": "ptp"}, null]}`, "", []string{"plugins[1]"}},
		{"a key that a list does not have", `{"plugins": [{"type": "ptp"}], "ipam": {}}`, "", []string{"ipam", "list"}},
		{"a type beside plugins", `{"plugins": [{"type": "ptp"}], "type": "ptp"}`, "", []string{"type", "list"}},
		{"a name that is no string", `{"type": "ptp", "name": 1}`, "", []string{"name", "not a string"}},
		{"a name with a slash", `{"type": "ptp", "name": "a/b"}`, "", []string{"name", "a/b"}},
		{"a version that nobody knows", `{"type": "ptp", "cniVersion": "1.2.3"}`, "", []string{"cniVersion", "1.2.3"}},
		{"versions that are no array", `{"plugins": [{"type": "ptp"}], "cniVersions": "1.0.0"}`, "", []string{"cniVersions"}},
		{"capabilities that are no booleans", `{"type": "ptp", "capabilities": {"mac": "yes"}}`, "", []string{"capabilities"}},
		{"disableCheck that is no boolean", `{"disableCheck": 1, "plugins": [{"type": "ptp"}]}`, "", []string{"disableCheck"}},
		{"networkName twice", `{"type": "ptp", "networkName": "green", "networkName": "blue"}`, "", []string{"networkName", "twice"}},
		{"a long name that is none", `{"type": "ptp", "name": "` + strings.Repeat("/", 100_000) + `"}`, "", []string{"name"}},
		{"a long version that is none", `{"type": "ptp", "cniVersion": "` + strings.Repeat("9", 100_000) + `"}`, "", []string{"cniVersion"}},
		{"a long networkName that is another's", `{"type": "ptp", "networkName": "` + strings.Repeat("a", 100_000) + `"}`, "", []string{"networkName"}},
		{"a long key that a list has not", `{"` + strings.Repeat("k", 100_000) + `": 1, "plugins": [{"type": "ptp"}]}`, "", []string{"kkk"}},
		{"a long key twice", `{"type": "ptp", "` + strings.Repeat("k", 100_000) + `": 1, "` + strings.Repeat("k", 100_000) + `": 1}`, "", []string{"kkk", "twice"}},
		{"more than a mebibyte", `{"type": "ptp", "x": "` + strings.Repeat("a", MaxSize) + `"}`, "", []string{"1048576"}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			def := defaults
			def.Type = tt.pluginIs
			_, err := Parse([]byte(tt.in), def)
			if err == nil {
				t.Fatalf("no error, want one that says %q", tt.says)
			}
			for _, words := range tt.says {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("the error %q does not say %q", err, words)
				}
			}
			if len(err.Error()) > 512 {
				t.Errorf("the error has %d bytes: it repeats the input", len(err.Error()))
			}
		})
	}
}

func TestStdinReplacesKeysAndKeepsThePluginAsItIs(t *testing.T) {
	chain, err := Parse([]byte(`{"type": "ptp", "name": "own", "mtu": 1400}`), defaults)
	if err != nil {
		t.Fatal(err)
	}
	with := map[string]json.RawMessage{"name": json.RawMessage(`"other"`), "prevResult": json.RawMessage(`{}`)}
	got, err := chain.Plugins[0].Stdin(with)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"mtu":1400,"name":"other","networkName":"green","prevResult":{},"type":"ptp"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	again, _ := chain.Plugins[0].Stdin(nil)
	if want := `{"mtu":1400,"name":"own","networkName":"green","type":"ptp"}`; string(again) != want {
		t.Errorf("the plugin changed: %s", again)
	}
}

func TestARecordedChainIsCheckedLikeANewOne(t *testing.T) {
	var chain Chain
	err := json.Unmarshal([]byte(`{"name":"green","cniVersion":"1.0.0","plugins":[{"type":"../sh"}]}`), &chain)
	if err == nil || !strings.Contains(err.Error(), "type") {
		t.Errorf("got %v, want an error that names the type", err)
	}
}

// FuzzParse: a chain that is accepted runs only plain file names, and is the same after a round through the ledger.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"type":"vlan","master":"eth0","vlanId":42,"ipam":{"type":"null"}}`,
		`{"cniVersions":["1.0.0","1.1.0"],"plugins":[{"type":"bridge","capabilities":{"mac":true}},{"type":"tuning"}]}`,
		`{"type":"a/b"}`, `{"Type":"sh"}`, `{"plugins":[null]}`, `{"type":"x","ipam":null,"name":null}`,
	} {
		f.Add([]byte(seed), "ptp")
	}
	f.Fuzz(func(t *testing.T, data []byte, pluginIs string) {
		if ValidateType(pluginIs) != nil {
			pluginIs = ""
		}
		def := defaults
		def.Type = pluginIs
		chain, err := Parse(data, def)
		if err != nil {
			return
		}
		if len(chain.Plugins) == 0 {
			t.Fatal("a chain of nothing")
		}
		recorded, err := encode(chain) // as the ledger does
		if err != nil {
			t.Fatal(err)
		}
		var back Chain
		if err := json.Unmarshal(recorded, &back); err != nil {
			t.Fatalf("does not come back from the ledger: %v", err)
		}
		for i, plugin := range chain.Plugins {
			checkPlugin(t, plugin, back.Plugins[i])
		}
	})
}

func checkPlugin(t *testing.T, plugin, back Plugin) {
	t.Helper()
	if plugin.Type != filepath.Base(plugin.Type) || plugin.Type == ".." || plugin.Type == Self {
		t.Fatalf("the type %q", plugin.Type)
	}
	stdin, err := plugin.Stdin(nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.Stdin(nil)
	if err != nil || !bytes.Equal(stdin, again) {
		t.Fatalf("stdin was %s and is %s (%v)", stdin, again, err)
	}
	var asGoPluginsRead struct {
		Type string
		IPAM struct{ Type string }
	}
	if err := json.Unmarshal(stdin, &asGoPluginsRead); err == nil && asGoPluginsRead.Type != plugin.Type {
		t.Fatalf("the plugin reads the type %q, kactus %q", asGoPluginsRead.Type, plugin.Type)
	}
	if ipam := asGoPluginsRead.IPAM.Type; ipam != "" && ValidateType(ipam) != nil {
		t.Fatalf("the plugin reads the IPAM type %q", ipam)
	}
}
