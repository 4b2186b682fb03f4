package metaplugin

import (
	"cmp"
	"encoding/json"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// bridgeConf is what the CHECK of the plugin bridge depends on.
type bridgeConf struct {
	Bridge           string `json:"bridge"`
	IsGateway        bool   `json:"isGateway"`
	IsDefaultGateway bool   `json:"isDefaultGateway"`
	VLAN             int    `json:"vlan"`
	IPAM             struct {
		Type string `json:"type"`
	} `json:"ipam"`
}

// asBridge returns the configuration of a plugin of the type bridge.
func asBridge(plugin cniconf.Plugin) (conf bridgeConf, ok bool) {
	if plugin.Type != "bridge" {
		return conf, false
	}
	data, err := plugin.Stdin(nil)
	return conf, err == nil && json.Unmarshal(data, &conf) == nil
}

// cannotCheck returns why the CHECK of the plugin fails for the configuration that it has, whatever
// it made; empty if it need not.
func cannotCheck(plugin cniconf.Plugin) string {
	if conf, ok := asBridge(plugin); !ok || conf.IPAM.Type != "" {
		return ""
	}
	return "the plugin bridge runs CHECK of an IPAM plugin also where its configuration has none"
}

// stableResult returns the result of the chain's ADD without the MAC addresses of bridges that may
// have another one by now. The kernel gives a bridge the lowest address of its ports, so that it
// changes when Pods come and go, and the CHECK of the plugin bridge would fail for a Pod that lacks
// nothing. Only for a gateway without a VLAN does the plugin fix the address.
func stableResult(chain cniconf.Chain, result json.RawMessage) json.RawMessage {
	for _, plugin := range chain.Plugins {
		conf, ok := asBridge(plugin)
		if gateway := conf.IsGateway || conf.IsDefaultGateway; !ok || gateway && conf.VLAN == 0 {
			continue
		}
		result = withoutMAC(result, cmp.Or(conf.Bridge, "cni0"))
	}
	return result
}

// withoutMAC returns the result without the MAC address of that interface of the node.
func withoutMAC(result json.RawMessage, ifName string) json.RawMessage {
	var all map[string]json.RawMessage
	var interfaces []map[string]json.RawMessage
	if json.Unmarshal(result, &all) != nil || json.Unmarshal(all["interfaces"], &interfaces) != nil {
		return result
	}
	for _, i := range interfaces {
		var name, sandbox string
		_, _ = json.Unmarshal(i["name"], &name), json.Unmarshal(i["sandbox"], &sandbox)
		if name == ifName && sandbox == "" {
			delete(i, "mac")
		}
	}
	changed, err := json.Marshal(interfaces)
	if err != nil {
		return result
	}
	all["interfaces"] = changed
	if changed, err = json.Marshal(all); err != nil {
		return result
	}
	return changed
}
