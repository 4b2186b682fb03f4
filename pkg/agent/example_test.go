package agent_test

import (
	"encoding/json"
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/agent"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

func ExampleCompare() {
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
	attached := func(name, namespace, ifName string) ledger.Attachment {
		return ledger.Attachment{
			Attachment: plan.Attachment{Network: name, Namespace: namespace, IfName: ifName},
			State:      ledger.Attached,
			Result:     json.RawMessage(`{"cniVersion": "1.0.0"}`),
		}
	}
	record := ledger.Record{IfName: "eth0", Attachments: []ledger.Attachment{
		attached("kactus-net", "", "eth0"),
		attached("green", "default", network.DeviceName("green")),
		attached("blue", "default", network.DeviceName("blue")),
	}}
	selections, err := network.ParseSelections(`[{"name": "data"}, {"name": "blue", "ifMac": "0a:00:00:00:00:01"}]`)
	if err != nil {
		fmt.Println(err)
		return
	}
	steps, err := agent.Compare(selections, record, conf, "tenant", agent.Seen{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range steps {
		fmt.Println(step)
	}
	// Output:
	// hot DEL of the network blue (net48d6215903df): changed: MAC address
	// hot DEL of the network green (net9f27410725ab): removed
	// hot ADD of the network data (net8d777f385d3d): added
	// hot ADD of the network blue (net48d6215903df): changed: MAC address
}
