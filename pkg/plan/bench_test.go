package plan

import (
	"fmt"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

func BenchmarkPodOf10Networks(b *testing.B) {
	conf, err := netconf.Parse([]byte(
		`{"cniVersion": "1.0.0", "name": "kactus-net", "delegates": [{"type": "ptp", "masterPlugin": true}]}`))
	if err != nil {
		b.Fatal(err)
	}
	const config = `{"type": "macvlan", "master": "eth0",
		"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/16"}]]}}`
	var selected []SelectedNetwork
	for i := range 10 {
		name := fmt.Sprintf("net-%d", i)
		selected = append(selected, SelectedNetwork{
			Selection: network.Selection{Name: name},
			Network:   network.Network{Name: name, Namespace: "red", Config: config},
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Pod(conf, "eth0", selected); err != nil {
			b.Fatal(err)
		}
	}
}
