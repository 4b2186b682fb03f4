package cniconf

import (
	"strings"
	"testing"
)

const chainOfTwo = `{"name":"net","cniVersion":"1.1.0","plugins":[
	{"type":"host-device","pciBusID":"of the author"},{"type":"tuning","capabilities":{"deviceID":true,"mac":false}}]}`

func TestWith_SetsKeysOfEachPlugin(t *testing.T) {
	chain, err := Parse([]byte(chainOfTwo), Defaults{})
	if err != nil {
		t.Fatal(err)
	}
	with, err := chain.With(map[string]string{"deviceID": "nic1", "pciBusID": `"`})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		chain Chain
		want  string
	}{
		{with, `{"cniVersion":"1.1.0","name":"net","plugins":[` +
			`{"deviceID":"nic1","pciBusID":"\"","type":"host-device"},` +
			`{"capabilities":{"deviceID":true,"mac":false},"deviceID":"nic1","pciBusID":"\"","type":"tuning"}]}`},
		{chain, `{"cniVersion":"1.1.0","name":"net","plugins":[` +
			`{"pciBusID":"of the author","type":"host-device"},` +
			`{"capabilities":{"deviceID":true,"mac":false},"type":"tuning"}]}`},
	} {
		if got, err := tt.chain.Encode(); err != nil || string(got) != tt.want {
			t.Errorf("got %s, %v, want %s", got, err, tt.want)
		}
	}
}

func TestWith_OtherSpelling(t *testing.T) {
	chain, err := Parse([]byte(strings.Replace(chainOfTwo, "pciBusID", "PciBusId", 1)), Defaults{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = chain.With(map[string]string{"pciBusID": "nic1"})
	if err == nil || err.Error() != `the plugin host-device: pciBusID: spelled "PciBusId"` {
		t.Errorf("got %v", err)
	}
}
