package netconf

import "testing"

func BenchmarkParse(b *testing.B) {
	stdin := netconfWith(`"kubeconfig": "/etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml",
		"delegates": [{"type": "flannel", "masterPlugin": true, "delegate": {"isDefaultGateway": true}}]`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(stdin); err != nil {
			b.Fatal(err)
		}
	}
}
