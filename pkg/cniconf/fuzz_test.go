package cniconf

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
)

// FuzzParse checks that a chain that is accepted runs only plain file names, and is the same after
// the ledger wrote and read it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"type":"vlan","master":"eth0","vlanId":42,"ipam":{"type":"null"}}`,
		`{"cniVersions":["1.0.0","1.1.0"],"plugins":[{"type":"bridge","capabilities":{"mac":true}},{"type":"tuning"}]}`,
		`{"type":"a/b"}`,
		`{"Type":"sh"}`,
		`{"plugins":[null]}`,
		`{"type":"x","ipam":null,"name":null}`,
	} {
		f.Add([]byte(seed), "ptp")
	}
	f.Fuzz(func(t *testing.T, data []byte, defaultType string) {
		def := testDefaults
		if ValidateType(defaultType) == nil {
			def.Type = defaultType
		}
		chain, err := Parse(data, def)
		if err != nil {
			return
		}
		if len(chain.Plugins) == 0 {
			t.Fatal("a chain without a plugin")
		}
		for _, plugin := range chain.Plugins {
			checkPlugin(t, plugin)
		}
	})
}

// FuzzWithArgs checks that a chain with the arguments of a Pod, which are hostile, runs what it ran
// without them, and that each plugin reads them.
func FuzzWithArgs(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"type":"tuning","args":{"cni":{"mtu":1}}}`, `{"mtu":9000}`},
		{`{"plugins":[{"type":"bridge","args":null},{"type":"tuning","args":{"labels":[]}}]}`, `{"mac":null}`},
		{`{"type":"ptp"}`, `{"type":"../sh","ipam":{"type":"a/b"}}`},
		{`{"type":"ptp","args":[]}`, `{"a":1}`},
		{`{"type":"ptp","args":{"cni":1}}`, `{"a":{"a":1,"A":2}}`},
		{`{"type":"ptp","args":[]}`, `{}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, data, rawArgs []byte) {
		var args map[string]json.RawMessage
		before, err := Parse(data, testDefaults)
		if err != nil || json.Unmarshal(rawArgs, &args) != nil {
			return
		}
		chain, err := before.WithArgs(args)
		if err != nil {
			return
		}
		if !slices.Equal(chain.Types(), before.Types()) || chain.Name != before.Name {
			t.Fatalf("%q, %q became %q, %q", before.Name, before.Types(), chain.Name, chain.Types())
		}
		for _, plugin := range chain.Plugins {
			checkPlugin(t, plugin)
			checkArgs(t, plugin, args)
		}
	})
}

func checkArgs(t *testing.T, plugin Plugin, args map[string]json.RawMessage) {
	t.Helper()
	if len(args) == 0 {
		return // and what the configuration has of its own is the plugin's affair
	}
	stdin, err := plugin.Stdin(nil)
	if err != nil {
		t.Fatal(err)
	}
	var conf struct {
		Args struct{ CNI map[string]json.RawMessage }
	}
	if err := json.Unmarshal(stdin, &conf); err != nil {
		t.Fatalf("%s: %v", stdin, err)
	}
	for key := range args {
		if _, ok := conf.Args.CNI[key]; !ok {
			t.Errorf("%s does not have the argument %q", stdin, key)
		}
	}
}

func checkPlugin(t *testing.T, plugin Plugin) {
	t.Helper()
	if plugin.Type != filepath.Base(plugin.Type) || plugin.Type == ".." || plugin.Type == Self {
		t.Fatalf("the type %q", plugin.Type)
	}
	stdin, err := plugin.Stdin(nil)
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := ParsePlugin(stdin)
	if err != nil {
		t.Fatalf("%s does not parse again: %v", stdin, err)
	}
	again, err := recorded.Stdin(nil)
	if err != nil || !bytes.Equal(stdin, again) {
		t.Fatalf("stdin was %s and is %s (%v)", stdin, again, err)
	}
	var goPlugin struct { // what a plugin written in Go reads
		Type string
		IPAM struct{ Type string }
	}
	if err := json.Unmarshal(stdin, &goPlugin); err == nil && goPlugin.Type != plugin.Type {
		t.Fatalf("the plugin reads the type %q, kactus %q", goPlugin.Type, plugin.Type)
	}
	if goPlugin.IPAM.Type != "" && ValidateType(goPlugin.IPAM.Type) != nil {
		t.Fatalf("the plugin reads the IPAM type %q", goPlugin.IPAM.Type)
	}
}
