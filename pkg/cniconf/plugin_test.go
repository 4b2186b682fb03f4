package cniconf

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestStdin_AddsKeysAndKeepsThePlugin(t *testing.T) {
	chain, err := Parse([]byte(`{"type": "ptp", "name": "own", "mtu": 1400}`), testDefaults)
	if err != nil {
		t.Fatal(err)
	}
	plugin := chain.Plugins[0]
	got, err := plugin.Stdin(map[string]json.RawMessage{
		"name":       json.RawMessage(`"other"`),
		"prevResult": json.RawMessage(`{}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"mtu":1400,"name":"other","networkName":"green","prevResult":{},"type":"ptp"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	again, err := plugin.Stdin(nil)
	if want := `{"mtu":1400,"name":"own","networkName":"green","type":"ptp"}`; err != nil || string(again) != want {
		t.Errorf("the plugin changed: %s, %v", again, err)
	}
}

func TestParsePlugin(t *testing.T) {
	t.Run("what Stdin returned", func(t *testing.T) {
		config := `{"capabilities":{"ips":false,"mac":true},"id":9007199254740993,"note":"<&>","type":"ptp"}`
		plugin, err := ParsePlugin([]byte(config))
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]bool{"mac": true, "ips": false}; !reflect.DeepEqual(plugin.Capabilities, want) {
			t.Errorf("Capabilities = %v, want %v", plugin.Capabilities, want)
		}
		if stdin, err := plugin.Stdin(nil); err != nil || string(stdin) != config || plugin.Type != "ptp" {
			t.Errorf("type %s, stdin %s, %v", plugin.Type, stdin, err)
		}
	})
	for name, c := range map[string]struct{ config, want string }{
		"a path":           {`{"type": "../sh"}`, `type: "../sh"`},
		"a nested path":    {`{"type": "ptp", "ipam": {"type": "../sh"}}`, `ipam.type: "../sh"`},
		"no type":          {`{}`, "type: missing"},
		"null":             {`null`, "type: missing"},
		"a key's spelling": {`{"TYPE": "sh", "type": "ptp"}`, `type: spelled "TYPE"`},
		"an array":         {`["type"]`, "not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			plugin, err := ParsePlugin([]byte(c.config))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want %s", plugin, err, c.want)
			}
		})
	}
}
