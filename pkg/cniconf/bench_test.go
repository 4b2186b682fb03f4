package cniconf

import "testing"

var benchChain = []byte(`{"name": "green", "plugins": [
	{"type": "macvlan", "master": "eth0", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/16"}]]}},
	{"type": "tuning", "mtu": 1400}]}`)

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(benchChain, Defaults{Name: "green", CNIVersion: "1.0.0"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStdin(b *testing.B) {
	chain, err := Parse(benchChain, Defaults{Name: "green", CNIVersion: "1.0.0"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := chain.Plugins[0].Stdin(nil); err != nil {
			b.Fatal(err)
		}
	}
}
