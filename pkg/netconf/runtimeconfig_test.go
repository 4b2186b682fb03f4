package netconf

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// withSelection returns a netconf with one more capability's value.
func withSelection(capability, value string) []byte {
	return netconfWith(`"runtimeConfig": {"portMappings": [], "` + capability + `": ` + value + `}`)
}

func TestParse_Selection(t *testing.T) {
	conf, err := Parse(withSelection("kaloom.com/selection", `{"name": "green", "namespace": "infra",
		"ifMac": "0A:00:00:00:00:01", "ips": ["10.7.0.5/24"], "upperLayers": ["blue"], "podagentSkip": true}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &network.Selection{Name: "green", Namespace: "infra",
		Requests:    network.Requests{MAC: "0a:00:00:00:00:01", IPs: []string{"10.7.0.5/24"}},
		UpperLayers: []string{"blue"}, PodagentSkip: true}
	if !reflect.DeepEqual(conf.Selection, want) {
		t.Errorf("got %+v, want %+v", conf.Selection, want)
	}
	if len(conf.RuntimeConfig) != 1 || conf.RuntimeConfig["portMappings"] == nil {
		t.Errorf("got the runtimeConfig %s, want portMappings alone", conf.RuntimeConfig)
	}
}

func TestParse_SelectionErrors(t *testing.T) {
	tests := []struct{ name, capability, value, want string }{
		{"null", "kaloom.com/selection", `null`, `must be a JSON object, got "null"`},
		{"an array, as the annotation has it", "kaloom.com/selection", `[{"name": "green"}]`, "must be a JSON object"},
		{"no name", "kaloom.com/selection", `{"namespace": "infra"}`, "name: must not be empty"},
		{"an address that is none", "kaloom.com/selection", `{"name": "green", "ips": ["10.7.0"]}`, `ips[0]: "10.7.0"`},
		{"another spelling", "kaloom.com/Selection", `{"name": "green"}`, `spelled "kaloom.com/Selection"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdin := withSelection(tt.capability, tt.value)
			expectProblem(t, stdin, "runtimeConfig: kaloom.com/selection: "+tt.want)
			conf, warning, err := ParseForDel(stdin)
			if err != nil || warning == nil || !strings.Contains(warning.Error(), tt.want) {
				t.Errorf("for a DEL: got the warning %v and %v", warning, err)
			}
			if conf.Selection == nil || conf.Selection.Name != "" {
				t.Errorf("for a DEL: got the selection %+v, want an empty one", conf.Selection)
			}
		})
	}
}

func TestParse_SelectionListsEveryUnknownKey(t *testing.T) {
	_, err := Parse(withSelection("kaloom.com/selection", `{"name": "green", "foo": 1, "bar": 2}`))
	var invalid *Error
	if !errors.As(err, &invalid) || invalid.UnknownKeys {
		t.Fatalf("got %v, which is not only about keys of the netconf", err)
	}
	for _, want := range []string{"selection: foo: unknown key", "selection: bar: unknown key"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}
