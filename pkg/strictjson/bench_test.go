package strictjson

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkCheck(b *testing.B) {
	var keys []string
	for i := range 100 {
		const value = `"key%d": {"name": "green", "ranges": [[{"subnet": "10.%d.0.0/16"}]], "mtu": %d, "up": true}`
		keys = append(keys, fmt.Sprintf(value, i, i, i))
	}
	object := []byte("{" + strings.Join(keys, ",") + "}")
	b.SetBytes(int64(len(object)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(object); err != nil {
			b.Fatal(err)
		}
	}
}
