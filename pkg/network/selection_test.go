package network

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestParseSelections(t *testing.T) {
	tests := []struct {
		behaviour  string
		annotation string
		want       []Selection
	}{
		{"no annotation asks for nothing", "", nil},
		{"white space asks for nothing", " \n\t", nil},
		{"an empty array asks for nothing", "[]", []Selection{}},
		{"a name is enough", `[{"name": "green"}]`, []Selection{{Name: "green"}}},
		{"networks keep their order", `[{"name": "green"}, {"name": "blue"}]`, []Selection{{Name: "green"}, {Name: "blue"}}},
		{"every key is read", `[{"name": "green", "namespace": "red", "ifMac": "0A-00-00-00-00-01", "ips": ["192.168.42.10/24", "fd10:42::1/64"], "isPrimary": true}]`,
			[]Selection{{Name: "green", Namespace: "red", IfMAC: "0a:00:00:00:00:01", IPs: []string{"192.168.42.10/24", "fd10:42::1/64"}, IsPrimary: true}}},
		{"other programs' keys are ignored, whatever they hold", `[{"name": "green", "podagentSkip": "yes", "upperLayers": [{"a": 1}]}]`, []Selection{{Name: "green"}}},
		{"empty wishes are none", `[{"name": "green", "namespace": "", "ifMac": "", "ips": [], "isPrimary": false}]`, []Selection{{Name: "green", IPs: []string{}}}},
		{"a subdomain is a name", `[{"name": "green.example.com"}]`, []Selection{{Name: "green.example.com"}}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
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

func TestParseSelectionsRefuses(t *testing.T) {
	many := func(n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = `{"name":"n` + strconv.Itoa(i) + `"}`
		}
		return "[" + strings.Join(names, ",") + "]"
	}
	tests := []struct {
		behaviour  string
		annotation string
		says       []string
	}{
		{"null", "null", []string{"array"}},
		{"an object", `{"name": "green"}`, []string{"array"}},
		{"a list of names that is no JSON", "green,blue", []string{"not JSON"}},
		{"an array that ends early", `[{"name": "green"}`, []string{"not JSON"}},
		{"something behind the array", `[{"name": "green"}] x`, []string{"not JSON"}},
		{"an element that is a string, with its index", `[{"name": "green"}, "blue"]`, []string{"element 1", "object"}},
		{"an element that is null", `[null]`, []string{"element 0"}},
		{"an element without a name", `[{"name": "green"}, {}]`, []string{"element 1", "name", "empty"}},
		{"an empty name", `[{"name": ""}]`, []string{"element 0", "name", "empty"}},
		{"a name that is a number", `[{"name": "green"}, {"name": 5}]`, []string{"element 1: name: not a string"}},
		{"a name in upper case", `[{"name": "Green"}]`, []string{"element 0", "name", "Green"}},
		{"a name that climbs", `[{"name": ".."}]`, []string{"element 0", "name"}},
		{"a name with a slash", `[{"name": "a/b"}]`, []string{"element 0", "name", "a/b"}},
		{"a name with an escaped slash", `[{"name": "a%2fb"}]`, []string{"element 0", "name", "a%2fb"}},
		{"a name of 254 letters", `[{"name": "` + strings.Repeat("a", 254) + `"}]`, []string{"element 0", "name"}},
		{"a namespace with a dot", `[{"name": "green", "namespace": "a.b"}]`, []string{"element 0", "namespace"}},
		{"a namespace that climbs", `[{"name": "green", "namespace": "../x"}]`, []string{"element 0", "namespace"}},
		{"an unknown key, with its name", `[{"name": "green", "interface": "eth1"}]`, []string{"element 0", "interface"}},
		{"a known key in another case", `[{"name": "green", "ifMAC": "0a:00:00:00:00:01"}]`, []string{"element 0", "ifMAC"}},
		{"a key that occurs twice", `[{"name": "green", "name": "blue"}]`, []string{"element 0", "name", "twice"}},
		{"isPrimary that is a string", `[{"name": "green", "isPrimary": "true"}]`, []string{"element 0: isPrimary: not true or false"}},
		{"ips that are a string", `[{"name": "green", "ips": "10.0.0.1/8"}]`, []string{"element 0: ips: not an array"}},
		{"a key of 100,000 letters", `[{"name": "green", "` + strings.Repeat("k", 100_000) + `": 1}]`, []string{"element 0", "kkk"}},
		{"an address without a prefix length", `[{"name": "green", "ips": ["10.0.0.1/8", "10.0.0.2"]}]`, []string{"element 0", "ips[1]", "10.0.0.2"}},
		{"a group address", `[{"name": "green"}, {"name": "blue", "ifMac": "01:00:5e:00:00:01"}]`, []string{"element 1", "ifMac", "unicast"}},
		{"the broadcast address", `[{"name": "blue", "ifMac": "ff:ff:ff:ff:ff:ff"}]`, []string{"element 0", "ifMac"}},
		{"the zero address", `[{"name": "blue", "ifMac": "00:00:00:00:00:00"}]`, []string{"element 0", "ifMac"}},
		{"an EUI-64", `[{"name": "blue", "ifMac": "02:00:5e:10:00:00:00:01"}]`, []string{"element 0", "ifMac", "8 bytes"}},
		{"a MAC address that is none", `[{"name": "blue", "ifMac": "0a:00;MAC=1"}]`, []string{"element 0", "ifMac"}},
		{"the same network twice, with both indices", `[{"name": "green"}, {"name": "blue"}, {"name": "green"}]`, []string{"element 2", "element 0", "green"}},
		{"the same network in two namespaces", `[{"name": "green", "namespace": "a"}, {"name": "green", "namespace": "b"}]`, []string{"element 1", "green"}},
		{"two primaries, with both indices", `[{"name": "green", "isPrimary": true}, {"name": "blue", "isPrimary": true}]`, []string{"element 1", "isPrimary", "green"}},
		{"two networks with one device name, with both names", `[{"name": "n-009b5fbe0257"}, {"name": "n-ee6b99c6809e"}]`, []string{"n-009b5fbe0257", "n-ee6b99c6809e", "netc78e9611f93e"}},
		{"65 networks", many(65), []string{"65", "64"}},
		{"100,000 networks", many(100_000), []string{"bytes"}},
		{"10 MB", strings.Repeat(" ", 10<<20), []string{"10485760"}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			got, err := ParseSelections(tt.annotation)
			if err == nil {
				t.Fatalf("no error but %+v, want one that says %q", got, tt.says)
			}
			for _, words := range tt.says {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("the error %q does not say %q", err, words)
				}
			}
			if len(err.Error()) > 1024 {
				t.Errorf("the error has %d bytes: it repeats the input", len(err.Error()))
			}
		})
	}
	t.Run("64 networks are not too many", func(t *testing.T) {
		if got, err := ParseSelections(many(64)); err != nil || len(got) != 64 {
			t.Errorf("got %d, %v", len(got), err)
		}
	})
}

// FuzzParseSelections: what is accepted is safe in a URL, in CNI_ARGS and as devices' names.
func FuzzParseSelections(f *testing.F) {
	for _, seed := range []string{
		`[{"name":"green","namespace":"red","ifMac":"0a:00:00:00:00:01","ips":["10.0.0.1/8"],"isPrimary":true,"podagentSkip":1,"upperLayers":{}}]`,
		`[]`, `null`, `[{"name":"a%2fb"}]`, `[{"name":"n-009b5fbe0257"},{"name":"n-ee6b99c6809e"}]`, `[{"name":"a","Name":"b"}]`,
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
		primaries, devices := 0, map[string]bool{}
		for _, s := range selections {
			if strings.ContainsAny(s.Name+s.Namespace+string(s.IfMAC), "/;=% \x00") || s.Name == "" || s.Name == ".." {
				t.Fatalf("accepted %+v", s)
			}
			if devices[DeviceName(s.Name)] {
				t.Fatalf("two networks on %s", DeviceName(s.Name))
			}
			devices[DeviceName(s.Name)] = true
			if s.IsPrimary {
				primaries++
			}
		}
		if primaries > 1 {
			t.Fatalf("%d primaries", primaries)
		}
	})
}
