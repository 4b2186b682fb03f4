package ledger

import (
	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"net/netip"

	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

const (
	goldenID   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	goldenPath = "testdata/format-1.json"
	goldenArgs = "IgnoreUnknown=1;K8S_POD_NAMESPACE=tenant;K8S_POD_NAME=app1-7d9c;" +
		"K8S_POD_INFRA_CONTAINER_ID=" + goldenID + ";K8S_POD_UID=5b1c1f3e-8c58-4b8e-9d3a-0f3a5e3c7e11;" +
		"MAC=0a:00:00:00:00:01;CNI_IFMAC=0a:00:00:00:00:01"
	goldenResult = `{"cniVersion":"0.4.0",` +
		`"interfaces":[{"name":"net9f27410725ab","mac":"0a:00:00:00:00:01","sandbox":"/var/run/netns/cni-2f1d"}],` +
		`"ips":[{"version":"4","interface":0,"address":"10.1.0.7/24","gateway":"10.1.0.1"}],` +
		`"routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1"}],"dns":{"nameservers":["10.96.0.10"]}}`
)

// goldenRecord returns what testdata/format-1.json holds.
func goldenRecord(t *testing.T) Record {
	t.Helper()
	var plugins []cniconf.Plugin
	for _, config := range []string{
		`{"capabilities":{"mac":true,"ips":true},` +
			`"ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.0.0/24"}]]},` +
			`"master":"eth1","networkName":"green","note":"<&>","type":"macvlan"}`,
		`{"networkName":"green","sysctl":{"net.ipv4.conf.all.log_martians":"1"},"type":"tuning"}`,
	} {
		plugin, err := cniconf.ParsePlugin([]byte(config))
		must(t, err)
		plugins = append(plugins, plugin)
	}
	attached := func(networkName, namespace, ifName string) Attachment {
		return Attachment{
			Attachment: plan.Attachment{
				Network:   networkName,
				Namespace: namespace,
				IfName:    ifName,
				NPWG:      true,
				Requests: network.Requests{
					MAC:          "0a:00:00:00:00:01",
					IPs:          []string{"10.1.0.7/24"},
					DefaultRoute: []netip.Addr{netip.MustParseAddr("10.1.0.1")},
					PortMappings: []nettypes.PortMapEntry{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp",
						HostIP: "10.0.0.1"}},
					Bandwidth: &nettypes.BandwidthEntry{IngressRate: 1, IngressBurst: 2, EgressRate: 3,
						EgressBurst: 4},
					InfinibandGUID: "c2:11:22:33:44:55:66:77",
					CNIArgs:        map[string]json.RawMessage{"spoofchk": json.RawMessage(`"on"`)},
					DeviceID:       "0000:3b:02.1",
					IPAMClaim:      "vm.green",
				},
				ResourceName: "kaloom.com/nic",
				Device:       "0000:03:02.0",
				PodagentSkip: true,
				Config: cniconf.Chain{
					CNIVersion:   "0.4.0",
					Name:         networkName,
					DisableCheck: true,
					DisableGC:    true,
					Plugins:      plugins,
				},
				RuntimeConfig: map[string]json.RawMessage{
					"ips": json.RawMessage(`["10.1.0.7/24"]`),
					"mac": json.RawMessage(`"0a:00:00:00:00:01"`),
				},
			},
			State:   "attached",
			Args:    goldenArgs,
			Created: time.Date(2026, 11, 1, 12, 30, 45, 123456789, time.UTC),
			Hot:     true,

			NoInterface: true,
			PreviousMAC: "02:04:06:08:10:12",
			PreviousRoutes: []netns.Route{{
				Destination: netip.MustParsePrefix("0.0.0.0/0"),
				Hops: []netns.Hop{{
					IfName: "eth0", Gateway: netip.MustParseAddr("10.9.0.1"), OnLink: true, Weight: 2,
				}},
				Metric:   100,
				Source:   netip.MustParseAddr("10.9.0.7"),
				Scope:    253,
				Protocol: 4,
				MTU:      1400,
				AdvMSS:   1360,
			}},
			DeviceInfo: json.RawMessage(`{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:03:02.0"}}`),
			Result:     json.RawMessage(goldenResult),
		}
	}
	failed := func(a Attachment, lastFailure string) Attachment {
		since := time.Date(2026, 11, 2, 1, 2, 3, 0, time.UTC)
		a.Failures, a.FailingSince, a.LastFailure = 1, &since, lastFailure
		return a
	}
	return Record{
		ContainerID: goldenID,
		Netns: netns.ID{
			Path:   "/var/run/netns/cni-2f1d",
			Device: 4,
			Inode:  4026532666,
			BootID: "3f6c0d9e-52a2-4c57-8f3b-7b1f4b1d6a10",
			Mounts: 4026531841,
			Cookie: 8123,
		},
		Pod: podargs.Pod{
			Namespace:        "tenant",
			Name:             "app1-7d9c",
			UID:              "5b1c1f3e-8c58-4b8e-9d3a-0f3a5e3c7e11",
			InfraContainerID: goldenID,
		},
		IfName: "eth0",
		Attachments: []Attachment{
			attached("default", "", "eth0"),
			failed(attached("green", "tenant", "net9f27410725ab"),
				"network green: DEL of the delegate green for net9f27410725ab: plugin macvlan: "+
					"it did not work"), //prose:ignore
		},
		Orphans: []Attachment{
			failed(attached("blue", "default", "net48d6215903df"), "network blue: the plugin's binary is missing"),
		},
	}
}

// The golden file was written by a version that did not have these types, with every field set.
// Only its indentation was added, and the fields that are optional since: hot, noInterface,
// previousMAC, previousRoutes, cookie, podagentSkip, npwg, requests, resourceName, deviceID and
// deviceInfo.
func TestFormat1(t *testing.T) {
	golden, err := os.ReadFile(goldenPath)
	must(t, err)
	want := goldenRecord(t)

	t.Run("is read", func(t *testing.T) {
		var written bytes.Buffer
		must(t, json.Compact(&written, golden))
		l := openLedger(t)
		must(t, os.WriteFile(filepath.Join(l.dir, goldenID+".json"), written.Bytes(), 0o600))
		got, err := l.ReadRecord(goldenID)
		must(t, err)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		r := lock(t, l, goldenID)
		defer r.Close()
		if record := r.Record(); r.Corrupt() != nil || !reflect.DeepEqual(record, want) {
			t.Errorf("locked: %+v, corrupt: %v", record, r.Corrupt())
		}
	})
	t.Run("is written", func(t *testing.T) {
		got, err := encode(want)
		must(t, err)
		if got, want := decodeJSON(t, got), decodeJSON(t, golden); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
	t.Run("later fields are kept", func(t *testing.T) {
		want := goldenRecord(t)
		want.Attachments[1].TornDown = []int{1}
		data, err := encode(want)
		must(t, err)
		if got, err := decode(data, goldenID); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
		}
	})
	t.Run("has every field of the types", func(t *testing.T) {
		attachment := want.Attachments[1]
		for _, v := range []any{
			want, want.Netns, want.Pod, want.Orphans[0], want.Orphans[0].Attachment,
			attachment, attachment.Attachment, attachment.Requests, attachment.Config, attachment.Config.Plugins[0],
			attachment.PreviousRoutes[0], attachment.PreviousRoutes[0].Hops[0],
		} {
			checkFieldsSet(t, v)
		}
	})
}

// laterFields were added to the format after the golden file was written. They are optional.
var laterFields = []string{"TornDown"}

// checkFieldsSet reports the fields of a struct that are zero: a field that is added to the struct
// must be added to the format, and to laterFields and the test of these.
func checkFieldsSet(t *testing.T, v any) {
	t.Helper()
	s := reflect.ValueOf(v)
	for i := range s.NumField() {
		field := s.Field(i)
		empty := field.IsZero() || (field.Kind() == reflect.Slice || field.Kind() == reflect.Map) && field.Len() == 0
		if empty && !slices.Contains(laterFields, s.Type().Field(i).Name) {
			t.Errorf("%s.%s is not set", s.Type(), s.Type().Field(i).Name)
		}
	}
}

// decodeJSON returns data as maps, slices, strings and numbers.
func decodeJSON(t *testing.T, data []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	must(t, dec.Decode(&v))
	return v
}

func TestEncode_OmitsWhatIsEmpty(t *testing.T) {
	got, err := encode(Record{ContainerID: "c1", Attachments: []Attachment{{State: Planned}}})
	must(t, err)
	const want = `{"format":1,"containerID":"c1","netns":{"path":"","device":0,"inode":0,"bootID":""},` +
		`"pod":{"namespace":"","name":""},"attachments":[{"network":"","device":"",` +
		`"config":{"cniVersion":"","name":"","plugins":null},` +
		`"state":"planned","args":"","created":"0001-01-01T00:00:00Z"}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDecode_Errors(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{``, "invalid JSON"},
		{`{"`, "invalid JSON"},
		{`[]`, "must be an object, got array"},
		{`{"format":"1"}`, "format: must be an integer, got string"},
		{`{"format":2,"containerID":1}`, "format 2, where this version of kactus reads format 1"},
		{`{"format":1,"containerID":1}`, "containerID: must be a string, got number"},
		{`{"format":1,"containerID":"c2"}`, `the record of another container, "c2"`},
		{`{"format":1,"attachments":{}}`, "attachments: must be an array, got object"},
		{`{"format":1,"attachments":[{"ips":1}]}`, "attachments.ips: must be an array, got number"},
		{
			`{"format":1,"containerID":"c1","attachments":[
				{"device":"net1","config":{"plugins":[{"type":"bridge"},{"type":"../x"}]}}]}`,
			`the configuration of "net1": plugins[1]: type: "../x" is not the name of a plugin`,
		},
		{
			`{"format":1,"containerID":"c1","orphans":[{"device":"net1","config":{"plugins":[[]]}}]}`,
			`the configuration of "net1": plugins[0]: not a JSON object`,
		},
	} {
		if r, err := decode([]byte(tt.data), "c1"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %s", tt.data, r, err, tt.want)
		}
	}
}
