package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// nic returns an attachment to a network of the resource, which asks for a device where id is not
// empty.
func nic(t *testing.T, ifName, resource, id string) Attachment {
	t.Helper()
	chain, err := cniconf.Parse([]byte(`{"type":"host-device"}`), cniconf.Defaults{Name: "fast", CNIVersion: "1.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	return Attachment{
		Network: "fast", Namespace: "tenant", IfName: ifName, ResourceName: resource,
		Requests: network.Requests{DeviceID: id}, Config: chain,
	}
}

// attachedNIC returns an attachment that has the device.
func attachedNIC(t *testing.T, ifName, resource, id string) Attachment {
	t.Helper()
	a := nic(t, ifName, resource, "")
	a.Device = id
	return a
}

func TestAssignDevices(t *testing.T) {
	given := map[string][]string{"kaloom.com/nic": {"nic0", "nic1", "nic2"}, "kaloom.com/other": {"other0"}}
	for _, tt := range []struct {
		behavior    string
		attachments []Attachment
		used        []Attachment
		want        string
	}{
		{"the n-th attachment gets the n-th device", []Attachment{
			nic(t, "net1", "kaloom.com/nic", ""), nic(t, "net2", "kaloom.com/other", ""), nic(t, "net3", "", ""),
			nic(t, "net4", "kaloom.com/nic", ""),
		}, nil, "net1=nic0 net2=other0 net3= net4=nic1"},
		{"one that asks for a device gets it before the others", []Attachment{
			nic(t, "net1", "kaloom.com/nic", ""), nic(t, "net2", "kaloom.com/nic", "nic0"),
			nic(t, "net3", "kaloom.com/nic", ""),
		}, nil, "net1=nic1 net2=nic0 net3=nic2"},
		{"a hot ADD gets the first device that is left", []Attachment{nic(t, "net3", "kaloom.com/nic", "")},
			[]Attachment{attachedNIC(t, "net1", "kaloom.com/nic", "nic0"),
				attachedNIC(t, "net2", "kaloom.com/nic", "nic2"),
				attachedNIC(t, "net4", "kaloom.com/other", "nic1"), nic(t, "eth0", "", "")}, "net3=nic1"},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			assigned, err := AssignDevices(tt.attachments, given, tt.used)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range assigned {
				got = append(got, a.IfName+"="+a.Device)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAssignDevices_TellsThePlugins(t *testing.T) {
	attachments := []Attachment{nic(t, "net1", "kaloom.com/nic", ""), nic(t, "net2", "", "")}
	assigned, err := AssignDevices(attachments, map[string][]string{"kaloom.com/nic": {"0000:03:02.0"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const plain = `{"cniVersion":"1.1.0","name":"fast","plugins":[{"type":"host-device"}]}`
	for i, want := range []string{
		`{"cniVersion":"1.1.0","name":"fast","plugins":[` +
			`{"deviceID":"0000:03:02.0","pciBusID":"0000:03:02.0","type":"host-device"}]} {"deviceID":"0000:03:02.0"}`,
		plain + " {}",
	} {
		config, err := assigned[i].Config.Encode()
		if got := string(config) + " " + encodeRuntimeConfig(t, assigned[i]); err != nil || got != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	if config, err := attachments[0].Config.Encode(); err != nil || string(config) != plain {
		t.Errorf("the plan itself became %s, %v", config, err)
	}
}

func encodeRuntimeConfig(t *testing.T, a Attachment) string {
	t.Helper()
	var all []string
	for key, value := range a.RuntimeConfig {
		all = append(all, fmt.Sprintf("%q:%s", key, value))
	}
	slices.Sort(all)
	return "{" + strings.Join(all, ",") + "}"
}

func TestAssignDevices_Errors(t *testing.T) {
	given := map[string][]string{"kaloom.com/nic": {"nic0"}, "kaloom.com/many": strings.Split("abcdefghij", "")}
	misspelled := nic(t, "net1", "kaloom.com/nic", "")
	misspelled.Config, _ = cniconf.Parse(
		[]byte(`{"type":"host-device","name":"fast","PCIBusID":"0000:00:00.0"}`), cniconf.Defaults{CNIVersion: "1.1.0"})
	for _, tt := range []struct {
		behavior    string
		attachments []Attachment
		used        []Attachment
		want        string
	}{
		{"none left", []Attachment{nic(t, "net1", "kaloom.com/nic", ""), nic(t, "net2", "kaloom.com/nic", "")}, nil,
			"network tenant/fast: no device of the resource kaloom.com/nic is left: " +
				"the Pod has 1, and its networks need 2: its containers must request as many in resources.limits"},
		{"none at all", []Attachment{nic(t, "net1", "kaloom.com/none", "")}, nil,
			"kaloom.com/none is left: the Pod has 0, and its networks need 1"},
		{"none left for a hot ADD", []Attachment{nic(t, "net2", "kaloom.com/nic", "")},
			[]Attachment{attachedNIC(t, "net1", "kaloom.com/nic", "nic0")}, "the Pod has 1, and its networks need 2"},
		{"a device of another Pod", []Attachment{nic(t, "net1", "kaloom.com/nic", "nic7")}, nil,
			`network tenant/fast: deviceID: "nic7" is none of the devices of kaloom.com/nic ` +
				`that the kubelet has given to the Pod: nic0`},
		{"a device of another resource", []Attachment{nic(t, "net1", "kaloom.com/none", "nic0")}, nil,
			"has given to the Pod: none"},
		{"a device that is none of many", []Attachment{nic(t, "net1", "kaloom.com/many", "z")}, nil,
			"a, b, c, d, e, f, g, h, …"},
		{"a device that another attachment has", []Attachment{nic(t, "net2", "kaloom.com/nic", "nic0")},
			[]Attachment{attachedNIC(t, "net1", "kaloom.com/nic", "nic0")},
			`"nic0" of kaloom.com/nic is the device of the Pod's interface net1`},
		{"two that ask for one device",
			[]Attachment{nic(t, "net1", "kaloom.com/nic", "nic0"), nic(t, "net2", "kaloom.com/nic", "nic0")}, nil,
			"is the device of the Pod's interface net1"},
		{"a configuration that plugins could read in two ways", []Attachment{misspelled}, nil,
			`network tenant/fast: spec.config: the plugin host-device: pciBusID: spelled "PCIBusID"`},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			_, err := AssignDevices(tt.attachments, given, tt.used)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestHot_DeviceOfANetworkWithoutDevices(t *testing.T) {
	s := SelectedNetwork{
		Selection: network.Selection{Name: "fast", Requests: network.Requests{DeviceID: "nic0"}},
		Network:   network.Network{Name: "fast", Namespace: "tenant", Plugin: "host-device"},
	}
	_, err := Hot(newConf(t, `[{"type": "flannel", "masterPlugin": true}]`), s)
	const want = "network tenant/fast: deviceID: the network is not one of devices: " +
		"its object names no resource in the annotation k8s.v1.cni.cncf.io/resourceName"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	s.Network.ResourceName = "kaloom.com/nic"
	if a, err := Hot(newConf(t, `[{"type": "flannel", "masterPlugin": true}]`), s); err != nil ||
		a.ResourceName != "kaloom.com/nic" || a.Device != "" {
		t.Errorf("got %+v, %v", a, err)
	}
}
