package cniconf

import (
	"encoding/json"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types040 "github.com/containernetworking/cni/pkg/types/040"
	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/containernetworking/cni/pkg/version"
)

func TestResult_ConvertsBetweenAllVersions(t *testing.T) {
	for _, data := range []string{
		`{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24","gateway":"10.0.0.1","routes":[{"dst":"0.0.0.0/0"}]}}`,
		`{"cniVersion":"0.3.1","interfaces":[{"name":"net1","sandbox":"/n"}],
			"ips":[{"version":"4","interface":0,"address":"10.0.0.2/24"}]}`,
		`{"cniVersion":"1.1.0","interfaces":[{"name":"net1","mtu":1500}],"ips":[{"address":"10.0.0.2/24"}],
			"routes":[{"dst":"10.0.0.0/8","gw":"10.0.0.1"}]}`,
		`{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"}],"routes":[{"dst":"::/0"}]}`,
	} {
		result, err := ParseResult([]byte(data))
		if err != nil {
			t.Errorf("%s: %v", data, err)
			continue
		}
		for _, v := range version.All.SupportedVersions() {
			encoded, err := EncodeResult(result, v)
			if err != nil {
				t.Errorf("%s as %s: %v", data, v, err)
				continue
			}
			var head struct{ CNIVersion string }
			if err := json.Unmarshal(encoded, &head); err != nil || head.CNIVersion != v {
				t.Errorf("%s as %s has the version %q: %s, %v", data, v, head.CNIVersion, encoded, err)
			}
			again, err := ParseResult(encoded)
			if err != nil || len(again.IPs) != 1 || again.IPs[0].Address.String() != "10.0.0.2/24" {
				t.Errorf("%s as %s became %s, %v", data, v, encoded, err)
			}
		}
	}
}

func TestEncodeResult_UnknownVersion(t *testing.T) {
	if encoded, err := EncodeResult(&Result{}, "9.9.9"); err == nil {
		t.Errorf("got %s", encoded)
	}
}

func TestParseResult_Errors(t *testing.T) {
	for name, data := range map[string]string{
		"nothing":            ``,
		"not JSON":           `hello`,
		"an unknown version": `{"cniVersion":"9.9.9"}`,
		"not an address":     `{"cniVersion":"1.0.0","ips":[{"address":"here"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if result, err := ParseResult([]byte(data)); err == nil {
				t.Errorf("got %v", result)
			}
		})
	}
}

// The CNI library decodes these results. It panics when it converts some of them, and does not read
// others again.
func TestParseResult_WithHoles(t *testing.T) {
	for name, data := range map[string]string{
		"a null interface":                  `{"cniVersion":"1.0.0","interfaces":[{"name":"net1"},null]}`,
		"a null address":                    `{"cniVersion":"1.0.0","ips":[null]}`,
		"a null route":                      `{"cniVersion":"1.0.0","routes":[null]}`,
		"a null interface, in 0.4.0":        `{"cniVersion":"0.4.0","interfaces":[null]}`,
		"a null address, in 0.3.1":          `{"cniVersion":"0.3.1","ips":[null]}`,
		"a null route, in 0.3.0":            `{"cniVersion":"0.3.0","routes":[null]}`,
		"an address without a value":        `{"cniVersion":"1.0.0","ips":[{}]}`,
		"a second address without a value":  `{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"},{}]}`,
		"a route without a destination":     `{"cniVersion":"1.0.0","routes":[{}]}`,
		"an address without one, in 0.2.0":  `{"cniVersion":"0.2.0","ip4":{}}`,
		"a route without one, in 0.4.0":     `{"cniVersion":"0.4.0","routes":[{}]}`,
		"an address without a value, 0.3.1": `{"cniVersion":"0.3.1","ips":[{"version":"4"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if result, err := ParseResult([]byte(data)); err == nil {
				t.Errorf("got %v", result)
			}
			decoded, err := create.CreateFromBytes([]byte(data))
			if err != nil {
				t.Fatalf("the CNI library does not decode this, so that nothing is tested: %v", err)
			}
			if result, err := NewResult(decoded); err == nil {
				t.Errorf("NewResult: got %v", result)
			}
		})
	}
}

func TestNewResult_ListsWithoutNull(t *testing.T) {
	for _, r := range []types.Result{
		&Result{CNIVersion: "1.1.0"},
		&types040.Result{CNIVersion: "0.4.0", Interfaces: []*types040.Interface{{Name: "net1"}}},
	} {
		if _, err := NewResult(r); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
