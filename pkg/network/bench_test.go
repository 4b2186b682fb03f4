package network

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkParseSelectionsOf10Networks(b *testing.B) {
	var list []string
	for i := range 10 {
		list = append(list, fmt.Sprintf(`{"name": "net-%d", "ifMac": "0a:00:00:00:00:%02x"}`, i, i))
	}
	annotation := "[" + strings.Join(list, ",") + "]"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseSelections(annotation); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAndChain(b *testing.B) {
	object := []byte(`{"apiVersion":"kaloom.com/v1","kind":"Network","metadata":{"name":"green","namespace":"red"},` +
		`"spec":{"config":"{\"type\":\"macvlan\",\"master\":\"eth0\",` +
		`\"ipam\":{\"type\":\"host-local\",\"ranges\":[[{\"subnet\":\"10.1.0.0/16\"}]]}}"}}`)
	b.ReportAllocs()
	for b.Loop() {
		n, err := Parse(object)
		if err == nil {
			_, err = n.Chain("1.0.0")
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeviceName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		DeviceName("green")
	}
}
