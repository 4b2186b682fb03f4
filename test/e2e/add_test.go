package e2e

import (
	"encoding/json"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestAdd_WithoutNetworks(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	pods := map[string]*kactustest.Pod{
		"no annotation":       tn.NewAnnotatedPod(t, nil),
		"an empty annotation": tn.NewPod(t, ""),
		"another one's annotation": tn.NewAnnotatedPod(t,
			map[string]string{"networks.example.com": `[{"name":"green"}]`}),
	}
	for name, p := range pods {
		t.Run(name+" attaches the default network alone", func(t *testing.T) {
			result := p.Add(t)
			p.ExpectInterfaces(t, "eth0")
			p.ExpectLedger(t, "attached", "eth0")
			kactustest.ExpectResult(t, result, "eth0", p.MAC(t, "eth0"))
			if got := p.Addrs(t, "eth0"); len(got) != 1 || len(result.IPs) != 1 ||
				got[0] != result.IPs[0].Address.String() {
				t.Errorf("eth0 has %q; the result has %v", got, result.IPs)
			}
			p.Del(t)
			p.ExpectGone(t)
		})
	}
}

func TestAdd_TwoNetworks(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue")
	p := tn.NewPod(t, `[{"name":"green"},{"name":"blue","podagentSkip":true,"upperLayers":["any"]}]`)
	result := p.Add(t)
	t.Run("each has the interface that its name gives", func(t *testing.T) {
		p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
		p.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
	})
	t.Run("each has a leased address", func(t *testing.T) {
		for network, ifName := range map[string]string{
			kactustest.DefaultNetwork: "eth0", "green": kactustest.GreenIfName, "blue": kactustest.BlueIfName,
		} {
			kactustest.ExpectSame(t, "leases of "+network, tn.Leases(t, network), []string{p.Addr(t, ifName)})
		}
	})
	t.Run("the result is that of eth0", func(t *testing.T) {
		kactustest.ExpectResult(t, result, "eth0", p.MAC(t, "eth0"))
		if len(result.IPs) != 1 || result.IPs[0].Address.IP.String() != p.Addr(t, "eth0") {
			t.Errorf("the result has the addresses %v; want that of eth0", result.IPs)
		}
	})
	t.Run("DEL tears down all of them", func(t *testing.T) {
		p.Del(t)
		p.ExpectGone(t)
	})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run("a runtime of "+version+" gets a result of "+version, func(t *testing.T) {
			p := tn.NewPod(t, `[{"name":"green"}]`)
			conf := p.Conf
			conf.CNIVersion = version
			out, err := p.Start(t, "ADD", conf, p.Runtime()).Wait(t)
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
			if result.CNIVersion != version || len(result.IPs) != 1 ||
				(result.IPs[0].Version == "4") != (version < "1") {
				t.Errorf("result: %s", out)
			}
			p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName)
			if _, err := p.Start(t, "DEL", conf, p.Runtime()).Wait(t); err != nil {
				t.Error(err)
			}
			p.ExpectGone(t)
		})
	}
	for _, c := range []struct{ network, runtime string }{{"0.3.1", "1.0.0"}, {"1.1.0", "0.3.1"}} {
		t.Run("a Network of "+c.network+" serves a runtime of "+c.runtime, func(t *testing.T) {
			tn := kactustest.NewTenant(t)
			tn.CreateNetwork(t, "green", `{"cniVersion": "`+c.network+`", `+tn.BridgeConfig(t, "green")+`}`)
			tn.Conf.CNIVersion = c.runtime
			p := tn.NewPod(t, `[{"name":"green","isPrimary":true}]`)
			result := p.Add(t)
			kactustest.ExpectResult(t, result, "eth0", p.MAC(t, "eth0"))
			p.Del(t)
			p.ExpectGone(t)
		})
	}
	t.Run("VERSION lists what kactus speaks", func(t *testing.T) {
		out, err := kactustest.StartWith(t, []byte(`{"cniVersion": "1.0.0"}`), "CNI_COMMAND=VERSION").Wait(t)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			SupportedVersions []string `json:"supportedVersions"`
		}
		if err := json.Unmarshal(out, &answer); err != nil {
			t.Fatal(err)
		}
		kactustest.ExpectSame(t, "versions", answer.SupportedVersions,
			[]string{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"})
	})
}
