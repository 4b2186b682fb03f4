package network

import (
	"strings"
	"testing"
)

func TestChain(t *testing.T) {
	for name, tt := range map[string]struct {
		network Network
		want    string // as JSON
	}{
		"config and plugin": {Network{Name: "green", Plugin: "vlan", Config: `{"vlanId": 42}`},
			`{"cniVersion":"0.4.0","name":"green","plugins":[{"networkName":"green","type":"vlan","vlanId":42}]}`},
		"plugin alone": {Network{Name: "green", Plugin: "ptp"},
			`{"cniVersion":"0.4.0","name":"green","plugins":[{"networkName":"green","type":"ptp"}]}`},
		"a resource": {Network{Name: "green", Plugin: "ptp", ResourceName: "kaloom.com/nic_1"},
			`{"cniVersion":"0.4.0","name":"green","plugins":[{"networkName":"green","type":"ptp"}]}`},
		"a resource without a domain": {Network{Name: "green", Plugin: "ptp", ResourceName: "single-gpu"},
			`{"cniVersion":"0.4.0","name":"green","plugins":[{"networkName":"green","type":"ptp"}]}`},
		"config alone": {Network{Name: "green", Config: `{"type": "ptp"}`},
			`{"cniVersion":"0.4.0","name":"green","plugins":[{"networkName":"green","type":"ptp"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			chain, err := tt.network.Chain("0.4.0")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := chain.Encode(); err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestChain_Errors(t *testing.T) {
	for name, tt := range map[string]struct {
		network Network
		want    []string
	}{
		"neither config nor plugin": {Network{Name: "green"}, []string{"spec.config", "type"}},
		"a config of {} alone":      {Network{Name: "green", Config: `{}`}, []string{"spec.config", "type"}},
		"two different plugins": {Network{Name: "green", Plugin: "vlan", Config: `{"type": "ptp"}`},
			[]string{"spec.config", "ptp", "vlan"}},
		"a path as the plugin": {Network{Name: "green", Plugin: "../sh", Config: `{}`},
			[]string{"spec.plugin", "../sh"}},
		"a path as the resource": {Network{Name: "green", Plugin: "ptp", ResourceName: "../nic"},
			[]string{"k8s.v1.cni.cncf.io/resourceName", "../nic"}},
		"a resource of three parts": {Network{Name: "green", Plugin: "ptp", ResourceName: "a/b/c"},
			[]string{"a/b/c"}},
		"kactus as the plugin": {Network{Name: "green", Plugin: "kactus"}, []string{"spec.plugin", "own delegate"}},
	} {
		t.Run(name, func(t *testing.T) {
			chain, err := tt.network.Chain("0.4.0")
			if err == nil {
				t.Fatalf("got %+v, want an error with %q", chain, tt.want)
			}
			for _, words := range tt.want {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("got the error %q, want %q in it", err, words)
				}
			}
		})
	}
}

func TestParse(t *testing.T) {
	for name, in := range map[string]string{
		"an object of the apiserver": `{"apiVersion":"kaloom.com/v1","kind":"Network",
			"metadata":{"name":"green","namespace":"red","uid":"1"},"spec":{"plugin":"vlan","config":"{}"}}`,
		"a key in another case": `{"metadata":{"name":"green","namespace":"red"},
			"spec":{"plugin":"vlan","Plugin":"sh","config":"{}"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			want := Network{Name: "green", Namespace: "red", Plugin: "vlan", Config: "{}"}
			if got, err := Parse([]byte(in)); err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
	t.Run("the annotation that names a resource", func(t *testing.T) {
		got, err := Parse([]byte(`{"metadata":{"name":"green","annotations":{"other":"x",
			"k8s.v1.cni.cncf.io/resourceName":"kaloom.com/nic"}}}`))
		if err != nil || got.ResourceName != "kaloom.com/nic" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("an object for spec.config is an error", func(t *testing.T) {
		const want = "spec.config: must be a string, got object"
		if got, err := Parse([]byte(`{"spec":{"config":{"type":"vlan"}}}`)); err == nil || err.Error() != want {
			t.Errorf("got %+v, %v, want the error %q", got, err, want)
		}
	})
}

// FuzzNetwork: an object of either kind that parses gives a chain or an error.
func FuzzNetwork(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"name":"green","namespace":"red"},"spec":{"plugin":"vlan","config":"{\"vlanId\":42}"}}`,
		`{"metadata":{"name":"green"},"spec":{"config":"{\"plugins\":[{\"type\":\"a/b\"}]}"}}`,
		`{"metadata":{"name":"a","annotations":{"k8s.v1.cni.cncf.io/resourceName":"x/y"}},
			"spec":{"config":"{\"type\":\"ptp\",\"name\":\"b\"}"}}`,
		`{}`, `[]`, `{"spec":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		for _, parse := range []func([]byte) (Network, error){Parse, ParseNPWGObject} {
			n, err := parse(object)
			if err != nil {
				continue
			}
			chain, err := n.Chain("1.0.0")
			if err == nil && (len(chain.Plugins) == 0 || chain.Name == "") {
				t.Fatalf("got %+v from %q", chain, object)
			}
		}
	})
}
