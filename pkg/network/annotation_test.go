package network

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
)

func TestParseSelections(t *testing.T) {
	tests := []struct {
		name       string
		annotation string
		want       []Selection
	}{
		{"no annotation", "", nil},
		{"white space", " \n\t", nil},
		{"an empty array", "[]", []Selection{}},
		{"a name alone", `[{"name": "green"}]`, []Selection{{Name: "green"}}},
		{"two networks, in their order", `[{"name": "green"}, {"name": "blue"}]`,
			[]Selection{{Name: "green"}, {Name: "blue"}}},
		{"every key", `[{"name": "green", "namespace": "red", "ifMac": "0A-00-00-00-00-01",
				"ips": ["192.168.42.10/24", "fd10:42::1/64"], "isPrimary": true}]`,
			[]Selection{{Name: "green", Namespace: "red",
				Requests:  Requests{MAC: "0a:00:00:00:00:01", IPs: []string{"192.168.42.10/24", "fd10:42::1/64"}},
				IsPrimary: true}}},
		{"podagentSkip, with any value", `[{"name": "green", "podagentSkip": ["yes"]},
				{"name": "blue", "podagentSkip": true}, {"name": "red", "podagentSkip": "false"}]`,
			[]Selection{{Name: "green", PodagentSkip: true}, {Name: "blue", PodagentSkip: true},
				{Name: "red", PodagentSkip: true}}},
		{"podagentSkip that is false or null", `[{"name": "green", "podagentSkip": false},
				{"name": "blue", "podagentSkip": null}]`,
			[]Selection{{Name: "green"}, {Name: "blue"}}},
		{"upper layers, by name and as elements",
			`[{"name": "green", "upperLayers": ["blue", {"name": "red", "ifMac": ""}]}]`,
			[]Selection{{Name: "green", UpperLayers: []string{"blue", "red"}}}},
		{"no upper layers", `[{"name": "green", "upperLayers": null}, {"name": "blue", "upperLayers": []}]`,
			[]Selection{{Name: "green"}, {Name: "blue"}}},
		{"addresses without a prefix length, as they are written",
			`[{"name": "green", "ips": ["192.168.42.10", "fd10:42:0::1"]}]`,
			[]Selection{{Name: "green", Requests: Requests{IPs: []string{"192.168.42.10", "fd10:42:0::1"}}}}},
		{"empty values", `[{"name": "green", "namespace": "", "ifMac": "", "ips": [], "isPrimary": false}]`,
			[]Selection{{Name: "green", Requests: Requests{IPs: []string{}}}}},
		{"a name that is a subdomain", `[{"name": "green.example.com"}]`, []Selection{{Name: "green.example.com"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSelections(tt.annotation)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestParseSelections_Errors(t *testing.T) {
	tests := []struct {
		name       string
		annotation string
		want       []string
	}{
		{"null", " null", []string{"must be a JSON array, got \"null\""}},
		{"an object", `{"name": "green"}`, []string{"must be a JSON array, got \"{"}},
		{"a comma list", "green,blue", []string{"invalid JSON"}},
		{"an array cut off", `[{"name": "green"}`, []string{"invalid JSON"}},
		{"data after the array", `[{"name": "green"}] x`, []string{"invalid JSON"}},
		{"an element that is a string, with its index", `[{"name": "green"}, "blue"]`, []string{"element 1", "object"}},
		{"an element that is null", `[null]`, []string{"element 0: must be a JSON object, got \"null\""}},
		{"an element without a name", `[{"name": "green"}, {}]`, []string{"element 1: name: must not be empty"}},
		{"an empty name", `[{"name": ""}]`, []string{"element 0: name: must not be empty"}},
		{"a name that is a number", `[{"name": "green"}, {"name": 5}]`, []string{"element 1: name: must be a string"}},
		{"a name in upper case", `[{"name": "Green"}]`, []string{"element 0", "name", "Green"}},
		{"a name that is the parent directory", `[{"name": ".."}]`, []string{"element 0", "name"}},
		{"a name with a slash", `[{"name": "a/b"}]`, []string{"element 0", "name", "a/b"}},
		{"a name with an escaped slash", `[{"name": "a%2fb"}]`, []string{"element 0", "name", "a%2fb"}},
		{"a name of 254 bytes", `[{"name": "` + strings.Repeat("a", 254) + `"}]`, []string{"element 0", "name"}},
		{"a namespace with a dot", `[{"name": "green", "namespace": "a.b"}]`, []string{"element 0", "namespace"}},
		{"a namespace with the parent directory", `[{"name": "green", "namespace": "../x"}]`,
			[]string{"element 0", "namespace"}},
		{"an unknown key, with its name", `[{"name": "green", "interfaces": "eth1"}]`,
			[]string{"element 0", "interfaces"}},
		{"ifMac and mac that differ", `[{"name": "green", "ifMac": "0a:00:00:00:00:01", "mac": "0a:00:00:00:00:02"}]`,
			[]string{"element 0: ifMac: 0a:00:00:00:00:01, but mac is 0a:00:00:00:00:02"}},
		{"two networks with one interface", `[{"name": "green", "interface": "a"}, {"name": "blue", "interface": "a"}]`,
			[]string{"element 1: interface: element 0 (green) already has the interface a"}},
		{"an interface with the device name of another network",
			`[{"name": "green", "interface": "net48d6215903df"}, {"name": "blue"}]`,
			[]string{"element 1: name: element 0 (green) asks for net48d6215903df", "blue"}},
		{"an unknown key of a port mapping",
			`[{"name": "green", "portMappings": [{"hostPort": 1, "containerPort": 1, "host": ""}]}]`,
			[]string{"element 0", "portMappings[0].host: unknown key"}},
		{"the default route of two", `[{"name": "green", "default-route": ["10.0.0.1"]},
			{"name": "blue", "default-route": ["fd00::1"]}]`,
			[]string{"element 1: default-route: element 0 (green) already has the default route"}},
		{"a known key in another case", `[{"name": "green", "ifMAC": "0a:00:00:00:00:01"}]`,
			[]string{"element 0", "ifMAC"}},
		{"a key that occurs twice", `[{"name": "green", "name": "blue"}]`, []string{"element 0", "name", "twice"}},
		{"isPrimary that is a string", `[{"name": "green", "isPrimary": "true"}]`,
			[]string{"element 0: isPrimary: must be true or false"}},
		{"ips that are a string", `[{"name": "green", "ips": "10.0.0.1/8"}]`,
			[]string{"element 0: ips: must be an array"}},
		{"a key of 100,000 bytes", `[{"name": "green", "` + strings.Repeat("k", 100_000) + `": 1}]`,
			[]string{"element 0", "kkk"}},
		{"an address that is none", `[{"name": "green", "ips": ["10.0.0.1/8", "10.0.0.2", "10.0.0.3/33"]}]`,
			[]string{"element 0", "ips[2]", "10.0.0.3/33"}},
		{"a group address", `[{"name": "green"}, {"name": "blue", "ifMac": "01:00:5e:00:00:01"}]`,
			[]string{"element 1", "ifMac", "unicast"}},
		{"the broadcast address", `[{"name": "blue", "ifMac": "ff:ff:ff:ff:ff:ff"}]`, []string{"element 0", "ifMac"}},
		{"the zero address", `[{"name": "blue", "ifMac": "00:00:00:00:00:00"}]`, []string{"element 0", "ifMac"}},
		{"an EUI-64", `[{"name": "blue", "ifMac": "02:00:5e:10:00:00:00:01"}]`,
			[]string{"element 0", "ifMac", "8 bytes"}},
		{"a MAC address with a pair of CNI_ARGS", `[{"name": "blue", "ifMac": "0a:00;MAC=1"}]`,
			[]string{"element 0", "ifMac"}},
		{"the same network twice, with both indices", `[{"name": "green"}, {"name": "blue"}, {"name": "green"}]`,
			[]string{"element 2: name: element 0 already selects the network green"}},
		{"the same network in two namespaces",
			`[{"name": "green", "namespace": "a"}, {"name": "green", "namespace": "b"}]`,
			[]string{"element 1", "green"}},
		{"two primaries, with both indices",
			`[{"name": "green", "isPrimary": true}, {"name": "blue", "isPrimary": true}]`,
			[]string{"element 1: isPrimary: element 0 (green) already is the primary network"}},
		{"two networks with one device name, with both names",
			`[{"name": "n-009b5fbe0257"}, {"name": "n-ee6b99c6809e"}]`,
			[]string{"n-009b5fbe0257", "n-ee6b99c6809e", "netc78e9611f93e"}},
		{"65 networks", many(65), []string{"65 networks, limit is 64"}},
		{"100,000 networks", many(100_000), []string{"bytes"}},
		{"10 MB", strings.Repeat(" ", 10<<20), []string{"10485760 bytes, limit is 262144"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSelections(tt.annotation)
			if err == nil {
				t.Fatalf("got %+v, want an error with %q", got, tt.want)
			}
			for _, words := range tt.want {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("got the error %q, want %q in it", err, words)
				}
			}
			if len(err.Error()) > 1024 {
				t.Errorf("the error has %d bytes: it repeats the input", len(err.Error()))
			}
		})
	}
}

func TestParseSelections_Limits(t *testing.T) {
	t.Run("64 networks", func(t *testing.T) {
		if got, err := ParseSelections(many(64)); err != nil || len(got) != 64 {
			t.Errorf("got %d, %v", len(got), err)
		}
	})
	t.Run("256 KiB", func(t *testing.T) {
		annotation := `[{"name": "green"}]`
		annotation += strings.Repeat(" ", MaxAnnotationSize-len(annotation))
		if got, err := ParseSelections(annotation); err != nil || len(got) != 1 {
			t.Errorf("got %d, %v", len(got), err)
		}
	})
}

// many returns an annotation that selects n networks.
func many(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = `{"name":"n` + strconv.Itoa(i) + `"}`
	}
	return "[" + strings.Join(names, ",") + "]"
}

// FuzzParseSelections: what ParseSelections accepts is safe in a URL, in CNI_ARGS and as the name
// of an interface.
func FuzzParseSelections(f *testing.F) {
	for _, seed := range []string{
		`[{"name":"green","namespace":"red","ifMac":"0a:00:00:00:00:01","ips":["10.0.0.1/8"],
			"isPrimary":true,"podagentSkip":1,"upperLayers":{}}]`,
		`[]`, `null`, `[{"name":"a%2fb"}]`, `[{"name":"a","Name":"b"}]`,
		`[{"name":"n-009b5fbe0257"},{"name":"n-ee6b99c6809e"}]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, annotation string) {
		selections, err := ParseSelections(annotation)
		if err != nil {
			return
		}
		if len(selections) > MaxSelections {
			t.Fatalf("%d networks", len(selections))
		}
		primaries, ifNames := 0, map[string]bool{}
		for _, s := range selections {
			if strings.ContainsAny(s.Name+s.Namespace+string(s.MAC), "/;=% \x00") || s.Name == "" || s.Name == ".." {
				t.Fatalf("accepted %+v", s)
			}
			if ifNames[s.InterfaceName()] {
				t.Fatalf("two networks have the interface %s", s.InterfaceName())
			}
			ifNames[s.InterfaceName()] = true
			if s.IsPrimary {
				primaries++
			}
		}
		if primaries > 1 {
			t.Fatalf("%d primaries", primaries)
		}
	})
}

func TestParseSelection(t *testing.T) {
	got, err := ParseSelection([]byte(`{"name": "green", "namespace": "red"}`))
	if want := (Selection{Name: "green", Namespace: "red"}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	const longest = `{"name": "green"}`
	spaces := strings.Repeat(" ", MaxAnnotationSize-len(longest))
	if _, err := ParseSelection([]byte(longest + spaces)); err != nil {
		t.Errorf("as long as an annotation can be: %v", err)
	}
	tests := []struct{ name, element, want string }{
		{"nothing", "", "must be a JSON object"},
		{"an array", `[{"name": "green"}]`, "must be a JSON object"},
		{"an unknown key", `{"name": "green", "MAC": ""}`, "MAC: unknown key"},
		{"data after the object", `{"name": "green"}{}`, "data follows"},
		{"more than an annotation can have", longest + spaces + " ", "limit is"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseSelection([]byte(tt.element)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %.200v, want %q", err, tt.want)
			}
		})
	}
}

func TestSelection_EncodesWhatItParses(t *testing.T) {
	full := Selection{
		Name: "green", Namespace: "red", IfName: "net1", Requests: Requests{
			MAC: "0a:00:00:00:00:01", IPs: []string{"10.0.0.1/24", "fd00::1"},
			DefaultRoute: []netip.Addr{netip.MustParseAddr("10.0.0.254"), netip.MustParseAddr("fd00::fe")},
			PortMappings: []nettypes.PortMapEntry{{HostPort: 8080, ContainerPort: 80, Protocol: "udp",
				HostIP: "10.0.0.1"}},
			Bandwidth:      &nettypes.BandwidthEntry{EgressRate: 8000, EgressBurst: 200},
			InfinibandGUID: "c2:11:22:33:44:55:66:77",
			CNIArgs:        map[string]json.RawMessage{"spoofchk": json.RawMessage(`"on"`)},
			DeviceID:       "0000:3b:02.1",
		},
		IsPrimary: true, UpperLayers: []string{"blue"}, PodagentSkip: true, NPWG: true,
	}
	claim := Selection{Name: "green", Requests: Requests{IPAMClaim: "vm.green"}}
	for _, want := range []Selection{{Name: "green"}, full, claim} {
		element, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseSelection(element); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", element, got, err)
		}
	}
	if fields := reflect.TypeFor[Selection]().NumField(); fields != 9 {
		t.Errorf("the full selection has 8 of 9 fields set (not Position), and there are %d", fields)
	}
	if fields := reflect.TypeFor[Requests]().NumField(); fields != 9 {
		t.Errorf("the selections have 9 requests set, of %d", fields)
	}
}
