package plan_test

import (
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

func ExamplePod() {
	conf, err := netconf.Parse([]byte(`{
		"cniVersion": "1.0.0",
		"name": "kactus-net",
		"type": "kactus",
		"delegates": [{"type": "flannel", "masterPlugin": true}]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	attachments, err := plan.Pod(conf, "eth0", []plan.SelectedNetwork{{
		Selection: network.Selection{Name: "green", Requests: network.Requests{MAC: "0a:00:00:00:00:01"}},
		Network:   network.Network{Name: "green", Namespace: "default", Plugin: "vlan", Config: `{"vlanId": 42}`},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range attachments {
		fmt.Printf("%s: network %s, plugin %s, MAC address %q\n", a.IfName, a.Network, a.Config.Plugins[0].Type, a.MAC)
	}
	// Output:
	// eth0: network kactus-net, plugin flannel, MAC address ""
	// net9f27410725ab: network green, plugin vlan, MAC address "0a:00:00:00:00:01"
}
