package network_test

import (
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

func ExampleParseSelections() {
	selections, err := network.ParseSelections(`[
		{"name": "green"},
		{"name": "blue", "namespace": "shared", "ifMac": "0A-00-00-00-00-01", "ips": ["192.168.42.10/24"]}
	]`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range selections {
		fmt.Println(s.Name, s.Namespace, s.MAC, s.IPs)
	}
	// Output:
	// green   []
	// blue shared 0a:00:00:00:00:01 [192.168.42.10/24]
}

func ExampleParseSelections_error() {
	_, err := network.ParseSelections(`[{"name": "green"}, {"name": "blue", "ifMAC": "0a:00:00:00:00:01"}]`)
	fmt.Println(err)
	// Output: element 1: ifMAC: unknown key
}

func ExampleDeviceName() {
	fmt.Println(network.DeviceName("green"))
	// Output: net9f27410725ab
}

func ExampleNetwork_Chain() {
	green := network.Network{Name: "green", Plugin: "vlan", Config: `{"master": "eth0", "vlanId": 42}`}
	chain, err := green.Chain("1.0.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	stdin, err := chain.Plugins[0].Stdin(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(chain.Name, chain.CNIVersion, chain.Plugins[0].Type)
	fmt.Println(string(stdin))
	// Output:
	// green 1.0.0 vlan
	// {"master":"eth0","networkName":"green","type":"vlan","vlanId":42}
}
