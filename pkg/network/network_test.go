package network

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestDeviceName(t *testing.T) {
	for name, want := range map[string]string{
		"green": "net9f27410725ab", "blue": "net48d6215903df", "data": "net8d777f385d3d",
		"n-009b5fbe0257": "netc78e9611f93e", "n-ee6b99c6809e": "netc78e9611f93e",
	} {
		t.Run("the device of "+name+" is "+want, func(t *testing.T) {
			if got := DeviceName(name); got != want || len(got) != 15 {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestParseMAC(t *testing.T) {
	for in, want := range map[string]MAC{
		"0a:58:c0:a8:2b:0a": "0a:58:c0:a8:2b:0a",
		"0A-58-C0-A8-2B-0A": "0a:58:c0:a8:2b:0a",
		"0a58.c0a8.2b0a":    "0a:58:c0:a8:2b:0a",
	} {
		t.Run("the notation "+in+" is read", func(t *testing.T) {
			if got, err := ParseMAC(in); err != nil || got != want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	for why, in := range map[string]string{
		"empty": "", "a word": "mac", "too short": "0a:00:00:00:00", "too long": "0a:00:00:00:00:00:00:01", "a group": "33:33:00:00:00:01",
		"zero": "00:00:00:00:00:00", "a pair of CNI_ARGS": "0a:00:00:00:00:01;X=1",
	} {
		t.Run("one that is "+why+" is refused", func(t *testing.T) {
			if got, err := ParseMAC(in); err == nil {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestNetworkChain(t *testing.T) {
	tests := []struct {
		behaviour string
		network   Network
		want      string // the chain; empty: refused
		says      []string
	}{
		{"config and plugin together make a chain", Network{Name: "green", Plugin: "vlan", Config: `{"vlanId": 42}`},
			`{"cniVersion":"0.4.0","name":"green","plugins":[{"networkName":"green","type":"vlan","vlanId":42}]}`, nil},
		{"a plugin alone is enough", Network{Name: "green", Plugin: "ptp"},
			`{"cniVersion":"0.4.0","name":"green","plugins":[{"networkName":"green","type":"ptp"}]}`, nil},
		{"a config alone is enough", Network{Name: "green", Config: `{"type": "ptp"}`},
			`{"cniVersion":"0.4.0","name":"green","plugins":[{"networkName":"green","type":"ptp"}]}`, nil},
		{"neither is an error", Network{Name: "green"}, "", []string{"spec.config", "type"}},
		{"a config of {} alone is an error", Network{Name: "green", Config: `{}`}, "", []string{"spec.config", "type"}},
		{"two different plugins are an error", Network{Name: "green", Plugin: "vlan", Config: `{"type": "ptp"}`}, "", []string{"spec.config", "ptp", "vlan"}},
		{"a plugin that is a path is an error", Network{Name: "green", Plugin: "../sh", Config: `{}`}, "", []string{"spec.plugin", "../sh"}},
		{"kactus as the plugin is an error", Network{Name: "green", Plugin: "kactus"}, "", []string{"spec.plugin", "own delegate"}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			chain, err := tt.network.Chain("0.4.0")
			if tt.says == nil {
				got, _ := json.Marshal(chain)
				if err != nil || string(got) != tt.want {
					t.Errorf("got %s, %v, want %s", got, err, tt.want)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, words := range tt.says {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("the error %q does not say %q", err, words)
				}
			}
		})
	}
}

func TestParse(t *testing.T) {
	t.Run("an object of the apiserver is read", func(t *testing.T) {
		got, err := Parse([]byte(`{"apiVersion":"kaloom.com/v1","kind":"Network","metadata":{"name":"green","namespace":"red","uid":"1"},"spec":{"plugin":"vlan","config":"{}"}}`))
		if want := (Network{Name: "green", Namespace: "red", Plugin: "vlan", Config: "{}"}); err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("a key in another case is not the key", func(t *testing.T) {
		got, err := Parse([]byte(`{"metadata":{"name":"green"},"spec":{"plugin":"vlan","Plugin":"sh"}}`))
		if err != nil || got.Plugin != "vlan" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("a wrong type is an error", func(t *testing.T) {
		if got, err := Parse([]byte(`{"spec":{"config":{"type":"vlan"}}}`)); err == nil {
			t.Errorf("got %+v", got)
		}
	})
}

// FuzzNetwork: an answer that parses gives a chain or an error.
func FuzzNetwork(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"name":"green","namespace":"red"},"spec":{"plugin":"vlan","config":"{\"vlanId\":42}"}}`,
		`{"metadata":{"name":"green"},"spec":{"config":"{\"plugins\":[{\"type\":\"a/b\"}]}"}}`, `{}`, `[]`, `{"spec":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		n, err := Parse(object)
		if err != nil {
			return
		}
		chain, err := n.Chain("1.0.0")
		if err == nil && (len(chain.Plugins) == 0 || chain.Name == "") {
			t.Fatalf("the chain %+v of %q", chain, object)
		}
	})
}

// FuzzParseMAC: what is accepted is a unicast EUI-48 in the one form that kactus compares.
func FuzzParseMAC(f *testing.F) {
	for _, seed := range []string{"0a:58:c0:a8:2b:0a", "0A-58-C0-A8-2B-0A", "0a58.c0a8.2b0a", "01:00:00:00:00:00", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		mac, err := ParseMAC(s)
		if err != nil {
			return
		}
		if again, err := ParseMAC(string(mac)); err != nil || again != mac || len(mac) != 17 {
			t.Fatalf("%q became %q, then %q (%v)", s, mac, again, err)
		}
	})
}
