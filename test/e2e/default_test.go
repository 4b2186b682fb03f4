package e2e

import (
	"encoding/json"
	"testing"
)

func TestPodWithoutNetworks(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	pods := map[string]*pod{
		"no annotation":            tn.podWith(t, nil),
		"an empty annotation":      tn.pod(t, ""),
		"another one's annotation": tn.podWith(t, map[string]string{"networks.example.com": `[{"name":"green"}]`}),
	}
	for name, p := range pods {
		t.Run(name+" means the default network alone", func(t *testing.T) {
			result := p.add(t)
			p.expectDevices(t, "eth0")
			p.expectLedger(t, "attached", "eth0")
			expectInterface(t, result, "eth0", p.mac(t, "eth0"))
			if got := p.addrs(t, "eth0"); len(got) != 1 || len(result.IPs) != 1 || got[0] != result.IPs[0].Address.String() {
				t.Errorf("eth0 has %q, and the result says %v", got, result.IPs)
			}
			p.del(t)
			p.expectGone(t)
		})
	}
}

func TestTwoNetworks(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green", "blue")
	p := tn.pod(t, `[{"name":"green"},{"name":"blue","podagentSkip":true,"upperLayers":["any"]}]`)
	result := p.add(t)
	t.Run("each has the device that its name makes", func(t *testing.T) {
		p.expectDevices(t, "eth0", greenDevice, blueDevice)
		p.expectLedger(t, "attached", "eth0", greenDevice, blueDevice)
	})
	t.Run("each has an address, which is leased", func(t *testing.T) {
		for network, device := range map[string]string{defaultNet: "eth0", "green": greenDevice, "blue": blueDevice} {
			expectSame(t, "leases of "+network, tn.leases(t, network), []string{p.addr(t, device)})
		}
	})
	t.Run("the result speaks of eth0 alone", func(t *testing.T) {
		expectInterface(t, result, "eth0", p.mac(t, "eth0"))
		if len(result.IPs) != 1 || result.IPs[0].Address.IP.String() != p.addr(t, "eth0") {
			t.Errorf("the result has the addresses %v; want that of eth0", result.IPs)
		}
	})
	t.Run("DEL undoes them all", func(t *testing.T) {
		p.del(t)
		p.expectGone(t)
	})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green")
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run("a runtime of "+version+" gets a result of "+version, func(t *testing.T) {
			p := tn.pod(t, `[{"name":"green"}]`)
			conf := p.conf
			conf.CNIVersion = version
			out, err := p.start(t, "ADD", conf, p.runtime()).wait(t)
			if err != nil {
				t.Fatal(err)
			}
			var result struct {
				CNIVersion string `json:"cniVersion"`
				IPs        []struct {
					Version string `json:"version"` // until 0.4.0
					Address string `json:"address"`
				} `json:"ips"`
			}
			if err := json.Unmarshal(out, &result); err != nil {
				t.Fatal(err)
			}
			if result.CNIVersion != version || len(result.IPs) != 1 || (result.IPs[0].Version == "4") != (version < "1") {
				t.Errorf("result: %s", out)
			}
			p.expectDevices(t, "eth0", greenDevice)
			if _, err := p.start(t, "DEL", conf, p.runtime()).wait(t); err != nil {
				t.Error(err)
			}
			p.expectGone(t)
		})
	}
	for _, c := range []struct{ network, runtime string }{{"0.3.1", "1.0.0"}, {"1.1.0", "0.3.1"}} {
		t.Run("a Network of "+c.network+" serves a runtime of "+c.runtime, func(t *testing.T) {
			tn := newTenant(t)
			tn.network(t, "green", `{"cniVersion": "`+c.network+`", `+tn.bridge(t, "green")+`}`)
			tn.conf.CNIVersion = c.runtime
			p := tn.pod(t, `[{"name":"green","isPrimary":true}]`)
			result := p.add(t)
			expectInterface(t, result, "eth0", p.mac(t, "eth0"))
			p.del(t)
			p.expectGone(t)
		})
	}
	t.Run("VERSION lists what kactus speaks", func(t *testing.T) {
		out, err := startWith(t, []byte(`{"cniVersion": "1.0.0"}`), "CNI_COMMAND=VERSION").wait(t)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			SupportedVersions []string `json:"supportedVersions"`
		}
		if err := json.Unmarshal(out, &answer); err != nil {
			t.Fatal(err)
		}
		expectSame(t, "versions", answer.SupportedVersions, []string{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"})
	})
}
