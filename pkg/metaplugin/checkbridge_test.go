package metaplugin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

func TestStableResult(t *testing.T) {
	const result = `{"cniVersion":"1.0.0","interfaces":[{"mac":"0a:00:00:00:00:01","name":"br0"},` +
		`{"mac":"0a:00:00:00:00:02","name":"veth0"},{"mac":"0a:00:00:00:00:03","name":"br0","sandbox":"/n"}],` +
		`"ips":[{"address":"10.0.0.2/24","interface":2}]}`
	without := strings.Replace(result, `"mac":"0a:00:00:00:00:01",`, "", 1)
	const bridge = `{"type": "bridge", "bridge": "br0"`
	ofDefault := strings.NewReplacer("br0", "cni0")
	for name, tt := range map[string]struct{ conf, result, want string }{
		"a bridge":                     {bridge + `}`, result, without},
		"another bridge":               {`{"type": "bridge", "bridge": "br1"}`, result, result},
		"the default bridge":           {`{"type": "bridge"}`, ofDefault.Replace(result), ofDefault.Replace(without)},
		"a gateway":                    {bridge + `, "isGateway": true}`, result, result},
		"a default gateway":            {bridge + `, "isDefaultGateway": true}`, result, result},
		"a gateway in a VLAN":          {bridge + `, "isGateway": true, "vlan": 7}`, result, without},
		"a chain":                      {`{"plugins": [` + bridge + `}, {"type": "tuning"}]}`, result, without},
		"another plugin":               {`{"type": "ptp", "bridge": "br0"}`, result, result},
		"no result":                    {bridge + `}`, "", ""},
		"a result without interfaces":  {bridge + `}`, `{"ips":[]}`, `{"ips":[]}`},
		"an interface without a name":  {bridge + `}`, `{"interfaces":[{}]}`, `{"interfaces":[{}]}`},
		"interfaces that are not such": {bridge + `}`, `{"interfaces":7}`, `{"interfaces":7}`},
	} {
		t.Run(name, func(t *testing.T) {
			chain, err := cniconf.Parse([]byte(tt.conf), cniconf.Defaults{Name: "green", CNIVersion: "1.0.0"})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(stableResult(chain, json.RawMessage(tt.result))); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
