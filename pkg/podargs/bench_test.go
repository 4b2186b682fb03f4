package podargs

import "testing"

func BenchmarkParse(b *testing.B) {
	const args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=red;K8S_POD_NAME=app1;K8S_POD_INFRA_CONTAINER_ID=abc;" +
		"K8S_POD_NETWORK=green;K8S_POD_IFMAC=0a:00:00:00:00:01"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(args); err != nil {
			b.Fatal(err)
		}
	}
}
