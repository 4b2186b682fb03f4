package network

import (
	"encoding/json"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
)

// npwg returns selections as ParseNPWG numbers them.
func npwg(selections ...Selection) []Selection {
	for i := range selections {
		selections[i].NPWG, selections[i].Position = true, i+1
	}
	return selections
}

func TestParseNPWG(t *testing.T) {
	gateways := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
	tests := []struct {
		name       string
		annotation string
		want       []Selection
	}{
		{"nothing", "", nil},
		{"white space", " \n", nil},
		{"an empty list", "[]", npwg()},
		{"a name", "net-a", npwg(Selection{Name: "net-a"})},
		{"names, with white space", " net-a,\tother-ns/net-b \n, net-c@eth1,other-ns / net-d @ eth2 ",
			npwg(Selection{Name: "net-a"}, Selection{Name: "net-b", Namespace: "other-ns"},
				Selection{Name: "net-c", IfName: "eth1"},
				Selection{Name: "net-d", Namespace: "other-ns", IfName: "eth2"})},
		{"one network several times", "net-a,net-a, net-a@data",
			npwg(Selection{Name: "net-a"}, Selection{Name: "net-a"}, Selection{Name: "net-a", IfName: "data"})},
		{"JSON, one network several times", `[{"name": "net-a"}, {"name": "net-a"}]`,
			npwg(Selection{Name: "net-a"}, Selection{Name: "net-a"})},
		{"every key", `[{"name": "net-a", "namespace": "other-ns", "interface": "pod1a2b3c4d5e6",
			"mac": "02:23:45:67:89:01", "ips": ["10.2.2.42/24", "2001:db8::5"],
				"default-route": ["10.0.0.1", "fd00::1"],
			"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "UDP"},
				{"hostPort": 1, "containerPort": 2}],
			"bandwidth": {"ingressRate": 2048, "ingressBurst": 300, "egressRate": 8000},
			"infiniband-guid": "24:8A:07:03:00:8d:ae:2f", "cni-args": {"spoofchk": "on"}, "deviceID": "0000:3b:02.1"}]`,
			npwg(Selection{Name: "net-a", Namespace: "other-ns", IfName: "pod1a2b3c4d5e6", Requests: Requests{
				MAC: "02:23:45:67:89:01", IPs: []string{"10.2.2.42/24", "2001:db8::5"}, DefaultRoute: gateways,
				PortMappings: []nettypes.PortMapEntry{
					{HostPort: 8080, ContainerPort: 80, Protocol: "udp"},
					{HostPort: 1, ContainerPort: 2, Protocol: "tcp"},
				},
				Bandwidth: &nettypes.BandwidthEntry{
					IngressRate: 2048, IngressBurst: 300, EgressRate: 8000, EgressBurst: math.MaxInt32,
				},
				InfinibandGUID: "24:8a:07:03:00:8d:ae:2f",
				CNIArgs:        map[string]json.RawMessage{"spoofchk": json.RawMessage(`"on"`)},
				DeviceID:       "0000:3b:02.1",
			}})},
		{"a claim", `[{"name": "net-a", "ipam-claim-reference": "vm123.tenantblue"}]`,
			npwg(Selection{Name: "net-a", Requests: Requests{IPAMClaim: "vm123.tenantblue"}})},
		{"empty values, which ask for nothing", `[{"name": "net-a", "namespace": "", "mac": "", "ips": null,
			"default-route": [], "portMappings": [], "bandwidth": {"ingressRate": 0}, "cni-args": null}]`,
			npwg(Selection{Name: "net-a"})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings, err := ParseNPWG(tt.annotation)
			if err != nil || len(warnings) > 0 {
				t.Fatal(err, warnings)
			}
			if len(got) != len(tt.want) || len(got) > 0 && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseNPWG_UnknownKeysAreWarnings(t *testing.T) {
	got, warnings, err := ParseNPWG(`[{"name": "net-a"}, {"name": "net-b", "org.foo.bar": {"x": [1]}, "MAC": 5}]`)
	if err != nil || len(got) != 2 || got[1].MAC != "" {
		t.Fatal(got, err)
	}
	want := []string{`element 1: "MAC": unknown key, passed over`, `element 1: "org.foo.bar": unknown key, passed over`}
	for i, w := range warnings {
		if len(warnings) != 2 || w.Error() != want[i] {
			t.Errorf("got %v, want %q", warnings, want)
		}
	}
	many := `[{"name": "a", "` + strings.Join(strings.Split(strings.Repeat("k", 40), ""), `": 1, "x`) + `": 1}]`
	if _, warnings, err := ParseNPWG(many); err == nil && len(warnings) > maxWarnings {
		t.Errorf("%d warnings", len(warnings))
	}
}

func TestParseNPWG_Errors(t *testing.T) {
	element := func(rest string) string { return `[{"name": "net-b"}, {"name": "net-a", ` + rest + `}]` }
	tests := []struct {
		name       string
		annotation string
		want       string
	}{
		{"null", "null,", "element 1: name: must not be empty"},
		{"a JSON string", `"net-a"`, "must be a JSON array"},
		{"a JSON object", `{"name": "net-a"}`, "must be a JSON array"},
		{"JSON that is cut off", `[{"name": "net-a"}`, "invalid JSON"},
		{"an empty element", "net-a,,net-b", "element 1: name: must not be empty"},
		{"a comma at the end", "net-a,", "element 1: name: must not be empty"},
		{"an empty namespace", "/net-a", "element 0: namespace: must not be empty"},
		{"an empty interface", "net-a@", "element 0: interface: must not be empty"},
		{"two slashes", "a/b/c", `element 0: name: "b/c"`},
		{"two interfaces", "a@b@c", `element 0: interface: "b@c"`},
		{"a name in upper case", "Net-A", "element 0: name"},
		{"a parent directory", "../net-a", "element 0: namespace"},
		{"65 names", strings.Repeat("a,", 64) + "a", "65 networks, limit is 64"},
		{"a million commas", strings.Repeat(",", 1<<20), "bytes, limit is"},
		{"65 elements", "[" + strings.Repeat(`{"name":"a"},`, 64) + `{"name":"a"}]`, "65 networks, limit is 64"},
		{"an element that is a string", `["net-a"]`, "element 0: must be a JSON object"},
		{"a key twice", element(`"mac": "02:23:45:67:89:01", "mac": ""`), "element 1: mac: key occurs twice"},
		{"no name", `[{"namespace": "a"}]`, "element 0: name: must not be empty"},
		{"a name that is a number", `[{"name": 1}]`, "element 0: name: must be a string"},
		{"an interface of 16 bytes", element(`"interface": "abcdefghijklmnop"`), "element 1: interface"},
		{"the loopback interface", "a@lo", "element 0: interface: lo"},
		{"an interface with a slash", element(`"interface": "a/b"`), "element 1: interface"},
		{"an interface with a pattern", element(`"interface": "eth%d"`), "element 1: interface"},
		{"one interface twice", "a@eth1,b@eth1", "element 1: interface: element 0 (a) already has the interface eth1"},
		{"an interface that another gets by its position", "a@net2,b", "element 1: name: element 0 (a) asks for net2"},
		{"an interface that another got by its position", "a,b@net1",
			"element 1: interface: element 0 (a) already has"},
		{"a MAC address that is none", element(`"mac": "02:23"`), "element 1: mac"},
		{"a group address", element(`"mac": "03:23:45:67:89:01"`), "element 1: mac"},
		{"an address that is none", element(`"ips": ["10.0.0.256"]`), "element 1: ips[0]"},
		{"a prefix that is too long", element(`"ips": ["10.0.0.1/24", "10.0.0.2/33"]`), "element 1: ips[1]"},
		{"addresses that are a string", element(`"ips": "10.0.0.1"`), "element 1: ips: must be an array"},
		{"a gateway with a prefix length", element(`"default-route": ["10.0.0.1/24"]`), "element 1: default-route[0]"},
		{"a gateway that is unspecified", element(`"default-route": ["10.0.0.1", "::"]`),
			"element 1: default-route[1]"},
		{"two default routes",
			`[{"name": "a", "default-route": ["10.0.0.1"]}, {"name": "b", "default-route": ["fd00::1"]}]`,
			"element 1: default-route: element 0 (a) already has the default route"},
		{"a host port of 0", element(`"portMappings": [{"containerPort": 80}]`),
			"element 1: portMappings[0]: hostPort"},
		{"a port of 65536", element(`"portMappings": [{"hostPort": 80, "containerPort": 65536}]`),
			"element 1: portMappings[0]: containerPort"},
		{"a protocol that is none",
			element(`"portMappings": [{"hostPort": 80, "containerPort": 80, "protocol": "icmp"}]`),
			"element 1: portMappings[0]: protocol"},
		{"a port that is a string", element(`"portMappings": [{"hostPort": "80", "containerPort": 80}]`),
			"element 1: portMappings"},
		{"a burst without a rate", element(`"bandwidth": {"ingressBurst": 300}`),
			"element 1: bandwidth: ingressBurst: requires ingressRate"},
		{"a rate below zero", element(`"bandwidth": {"egressRate": -1}`), "element 1: bandwidth: egressRate"},
		{"a GUID of 6 bytes", element(`"infiniband-guid": "02:23:45:67:89:01"`), "element 1: infiniband-guid"},
		{"a GUID with other separators", element(`"infiniband-guid": "24-8a-07-03-00-8d-ae-2f"`),
			"element 1: infiniband-guid"},
		{"arguments that are an array", element(`"cni-args": ["a"]`), "element 1: cni-args: must be an object"},
		{"a device with a path", element(`"deviceID": "../x"`), "element 1: deviceID"},
		{"a claim and addresses", element(`"ipam-claim-reference": "a", "ips": ["10.0.0.1"]`),
			"element 1: ipam-claim-reference: excludes ips"},
		{"a claim that is a path", element(`"ipam-claim-reference": "../a"`), "element 1: ipam-claim-reference"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := ParseNPWG(tt.annotation)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %+v, %.300v, want an error with %q", got, err, tt.want)
			}
			if len(err.Error()) > 1024 {
				t.Errorf("the error has %d bytes: it repeats the input", len(err.Error()))
			}
		})
	}
}

func TestParsePod(t *testing.T) {
	defaulted := Selection{Name: "calico", Namespace: "infra", NPWG: true, IsPrimary: true}
	tests := []struct {
		name                      string
		own, npwg, defaultNetwork string // "-" for none
		want                      []Selection
		warning, err              string
	}{
		{"none", "-", "-", "-", nil, "", ""},
		{"its own", `[{"name": "green"}]`, "-", "-", []Selection{{Name: "green"}}, "", ""},
		{"NPWG", "-", "net-a", "-", npwg(Selection{Name: "net-a"}), "", ""},
		{"both, of which the own one decides", `[{"name": "green"}]`, "net-a", "-", []Selection{{Name: "green"}},
			"annotation k8s.v1.cni.cncf.io/networks: passed over, because the Pod has the annotation networks", ""},
		{"both, the own one empty", "", "net-a", "-", nil, "passed over", ""},
		{"an unknown key", "-", `[{"name": "net-a", "x": 1}]`, "-", npwg(Selection{Name: "net-a"}), `"x": unknown key`,
			""},
		{"a default network", "-", "net-a", "infra/calico",
			append([]Selection{defaulted}, npwg(Selection{Name: "net-a"})...),
			"", ""},
		{"a default network in JSON, alone", "-", "-", `[{"name": "calico", "namespace": "infra"}]`,
			[]Selection{defaulted}, "", ""},
		{"a default network with an unknown key", "-", "-", `[{"name": "calico", "namespace": "infra", "x": 1}]`,
			[]Selection{defaulted}, `annotation v1.multus-cni.io/default-network: element 0: "x": unknown key`, ""},
		{"an empty default network", "-", "net-a", "", npwg(Selection{Name: "net-a"}), "", ""},
		{"two default networks", "-", "-", "a,b", nil, "", "annotation v1.multus-cni.io/default-network: 2 networks"},
		{"a default network and a primary one", `[{"name": "green", "isPrimary": true}]`, "-", "calico", nil, "",
			"annotation v1.multus-cni.io/default-network: names a default network, and so does isPrimary of green"},
		{"a broken one", `[{}]`, "-", "-", nil, "", "annotation networks: element 0: name"},
		{"a broken NPWG one", "-", "A", "-", nil, "", "annotation k8s.v1.cni.cncf.io/networks: element 0: name"},
		{"two default routes", "-", `[{"name": "a", "default-route": ["10.0.0.1"]}]`,
			`[{"name": "b", "default-route": ["10.0.0.1"]}]`, nil, "", "default-route: a already has"},
		{"one network too many", "-", strings.Repeat("a,", 63) + "a", "b", nil, "", "65 networks"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			annotations := map[string]string{"other": "x"}
			for key, value := range map[string]string{
				Annotation: tt.own, NPWGAnnotation: tt.npwg, DefaultNetworkAnnotation: tt.defaultNetwork,
			} {
				if value != "-" {
					annotations[key] = value
				}
			}
			got, warnings, err := ParsePod(annotations)
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) || tt.err == "" && err != nil {
				t.Fatalf("got %v, want %q", err, tt.err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			if tt.warning == "" && len(warnings) > 0 ||
				tt.warning != "" && (len(warnings) != 1 || !strings.Contains(warnings[0].Error(), tt.warning)) {
				t.Errorf("got the warnings %v, want %q", warnings, tt.warning)
			}
		})
	}
}

// FuzzParsePod: whatever the annotations of a Pod are, there is an error, or a list of networks of
// which one at most is the default network, and no two have an interface that the Pod names.
func FuzzParsePod(f *testing.F) {
	f.Add(`[{"name":"a"}]`, "b,c@x", "")
	f.Add("", `[{"name":"a","default-route":["10.0.0.1"]}]`, "infra/calico")
	f.Add("", "a@x", `[{"name":"b","interface":"x","default-route":["fd00::1"]}]`)
	f.Add(`[{"name":"a","isPrimary":true}]`, "", "b")
	f.Fuzz(func(t *testing.T, own, npwg, defaultNetwork string) {
		annotations := map[string]string{}
		for key, value := range map[string]string{
			Annotation: own, NPWGAnnotation: npwg, DefaultNetworkAnnotation: defaultNetwork,
		} {
			if value != "" {
				annotations[key] = value
			}
		}
		selections, _, err := ParsePod(annotations)
		if err != nil {
			return
		}
		if len(selections) > MaxSelections {
			t.Fatalf("%d networks", len(selections))
		}
		primaries, ifNames := 0, map[string]bool{}
		for _, s := range selections {
			if s.IsPrimary {
				primaries++
				continue
			}
			if ifNames[s.InterfaceName()] && s.NPWG {
				t.Fatalf("twice: %s", s.InterfaceName())
			}
			ifNames[s.InterfaceName()] = true
		}
		if primaries > 1 {
			t.Fatalf("%d default networks", primaries)
		}
	})
}

// FuzzParseNPWG: what ParseNPWG accepts is safe in a URL, in CNI_ARGS, as the name of an interface
// and of a file, and reads again as it was.
func FuzzParseNPWG(f *testing.F) {
	for _, seed := range []string{
		"net-a,ns/net-b@eth1", "a@b@c", "[]", "null", "{", `"a"`, ",",
		`[{"name":"a","interface":"eth1","mac":"02:23:45:67:89:01","ips":["10.0.0.1","fd00::1/64"],
			"default-route":["10.0.0.1"],"portMappings":[{"hostPort":1,"containerPort":2,"protocol":"SCTP"}],
			"bandwidth":{"ingressRate":1},"infiniband-guid":"24:8a:07:03:00:8d:ae:2f","cni-args":{"a":{"b":[]}},
			"deviceID":"0000:3b:02.1","x":1}]`,
		`[{"name":"a","ipam-claim-reference":"vm.a"}]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, annotation string) {
		selections, warnings, err := ParseNPWG(annotation)
		if err != nil {
			return
		}
		if len(selections) > MaxSelections || len(warnings) > maxWarnings {
			t.Fatalf("%d networks, %d warnings", len(selections), len(warnings))
		}
		ifNames := map[string]bool{}
		for _, s := range selections {
			ifName := s.InterfaceName()
			if strings.ContainsAny(s.Name+s.Namespace+string(s.MAC)+s.IPAMClaim, "/;=% \x00") ||
				strings.ContainsAny(ifName+s.DeviceID, "/ \x00") || s.Name == "" || ifNames[ifName] ||
				len(ifName) > 15 || !s.NPWG {
				t.Fatalf("accepted %+v", s)
			}
			ifNames[ifName] = true
			s.IfName, s.Position = ifName, 0
			element, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParseSelection(element)
			if err != nil {
				t.Fatalf("%s: %v", element, err)
			}
			if !again.Same(s.Requests) || again.Name != s.Name || again.IfName != s.IfName || !again.NPWG {
				t.Fatalf("%s\nreads as %+v\nnot     %+v", element, again, s)
			}
		}
	})
}
