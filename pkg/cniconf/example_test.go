package cniconf_test

import (
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

func ExampleParse() {
	chain, err := cniconf.Parse([]byte(`{
		"plugins": [
			{"type": "bridge", "bridge": "br0"},
			{"type": "portmap", "capabilities": {"portMappings": true}}
		]
	}`), cniconf.Defaults{Name: "green", CNIVersion: "1.0.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(chain.Name, chain.CNIVersion)
	for _, plugin := range chain.Plugins {
		fmt.Println(plugin.Type, plugin.Capabilities)
	}
	// Output:
	// green 1.0.0
	// bridge map[]
	// portmap map[portMappings:true]
}

// A type is the name of a file in the directories of CNI_PATH.
func ExampleParse_error() {
	_, err := cniconf.Parse([]byte(`{"type": "multus", "delegates": [{"type": "../../sh"}]}`), cniconf.Defaults{
		Name:       "green",
		CNIVersion: "1.0.0",
	})
	fmt.Println(err)
	// Output: delegates[0].type: a path, not the name of a plugin
}

func ExampleEncodeResult() {
	result, err := cniconf.ParseResult([]byte(`{"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.7/24"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := cniconf.EncodeResult(result, "1.0.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(data))
	// Output: {"cniVersion":"1.0.0","ips":[{"address":"10.1.0.7/24"}]}
}
