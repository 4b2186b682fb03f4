package cniresult

import (
	"encoding/json"
	"testing"

	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/containernetworking/cni/pkg/version"
)

func TestAResultIsConvertedAndReadsAgain(t *testing.T) {
	for _, data := range []string{
		`{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24","gateway":"10.0.0.1","routes":[{"dst":"0.0.0.0/0"}]}}`,
		`{"cniVersion":"0.3.1","interfaces":[{"name":"net1","sandbox":"/n"}],"ips":[{"version":"4","interface":0,"address":"10.0.0.2/24"}]}`,
		`{"cniVersion":"1.1.0","interfaces":[{"name":"net1","mtu":1500}],"ips":[{"address":"10.0.0.2/24"}],"routes":[{"dst":"10.0.0.0/8","gw":"10.0.0.1"}]}`,
	} {
		for _, v := range version.All.SupportedVersions() {
			result, err := Read([]byte(data), v)
			if err != nil {
				t.Errorf("%s as %s: %v", data, v, err)
				continue
			}
			again, err := json.Marshal(result)
			if err != nil {
				t.Fatal(err)
			}
			current, err := Current(again)
			if err != nil || result.Version() != v || len(current.IPs) != 1 || current.IPs[0].Address.String() != "10.0.0.2/24" {
				t.Errorf("%s as %s became %s (%v)", data, v, again, err)
			}
		}
	}
}

func TestAResultWithAHoleIsAnErrorAndNotAPanic(t *testing.T) {
	for what, data := range map[string]string{
		"a null for a device":            `{"cniVersion":"1.0.0","interfaces":[{"name":"net1"},null]}`,
		"a null for an address":          `{"cniVersion":"1.0.0","ips":[null]}`,
		"a null for a route":             `{"cniVersion":"1.0.0","routes":[null]}`,
		"a null for a device, in 0.4.0":  `{"cniVersion":"0.4.0","interfaces":[null]}`,
		"a null for an address in 0.3.1": `{"cniVersion":"0.3.1","ips":[null]}`,
		"a null for a route, in 0.3.0":   `{"cniVersion":"0.3.0","routes":[null]}`,
		"an address that is none":        `{"cniVersion":"1.0.0","ips":[{}]}`,
		"a route to nowhere":             `{"cniVersion":"1.0.0","routes":[{}]}`,
		"no address, in 0.2.0":           `{"cniVersion":"0.2.0","ip4":{}}`,
	} {
		for _, v := range version.All.SupportedVersions() {
			if result, err := Read([]byte(data), v); err == nil {
				t.Errorf("%s, as %s: got %v", what, v, result)
			}
		}
		if result, err := Current([]byte(data)); err == nil {
			t.Errorf("%s: got %v", what, result)
		}
		if _, err := create.CreateFromBytes([]byte(data)); err != nil {
			t.Errorf("%s is refused by the CNI library itself, so that this tests nothing: %v", what, err)
		}
	}
}
