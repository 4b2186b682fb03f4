package meta

import (
	"encoding/json"
	"log/slog"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniresult"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// anyDevice is there, whatever its name, and has another MAC address than was asked for.
type anyDevice struct{}

func (anyDevice) MAC(string) (network.MAC, error)  { return "0a:00:00:00:00:01", nil }
func (anyDevice) SetMAC(string, network.MAC) error { return nil }
func (anyDevice) Close()                           {}

// FuzzFulfil: whatever result a delegate gives where a MAC address and an IP address were asked for, that ends in an error, or in a result of the
// same version that has both, can be recorded, and can be read for a CHECK and a repeated hot ADD.
func FuzzFulfil(f *testing.F) {
	versions := version.All.SupportedVersions()
	for i := range versions {
		for _, seed := range []string{
			`{}`, `{"cniVersion":"0.2.0","ip4":{"ip":"10.7.0.5/24"}}`, `{"cniVersion":"1.0.0","interfaces":[null],"ips":[{"address":"10.7.0.5/24"}]}`,
			`{"cniVersion":"0.4.0","interfaces":[{"name":"net1","mac":"0a:00:00:00:00:01","sandbox":"/n"}],"ips":[{"version":"4","interface":0,"address":"10.7.0.5/24"}]}`,
			`{"cniVersion":"1.1.0","interfaces":[{"name":"net1","sandbox":"/n"},{"name":"net1"}],"ips":[{"address":"::ffff:10.7.0.5/120","interface":7}],"routes":[{"dst":"0.0.0.0/0"}]}`,
		} {
			f.Add([]byte(seed), byte(i))
		}
	}
	verbs := &Verbs{Devices: func(string) (Devices, error) { return anyDevice{}, nil }, Log: slog.New(slog.DiscardHandler)}
	const mac = network.MAC("0a:58:00:00:00:05")
	f.Fuzz(func(t *testing.T, data []byte, v byte) {
		e := ledger.Entry{Attachment: plan.Attachment{Device: "net1", MAC: mac, IPs: []string{"10.7.0.5/24"}}, Result: data}
		e.Config.CNIVersion = versions[int(v)%len(versions)]
		netnsOfAdd(e, ledger.Netns{}, "/n")
		result, err := cniresult.Read(data, e.Config.CNIVersion)
		if err != nil {
			return
		}
		if result, err = verbs.fulfil("/n", e, result); err != nil {
			return
		}
		if result.Version() != e.Config.CNIVersion {
			t.Errorf("the result has the version %q, where the delegate has %q", result.Version(), e.Config.CNIVersion)
		}
		if e.Result, err = json.Marshal(result); err != nil {
			t.Fatalf("it cannot be recorded: %v", err)
		}
		current, err := cniresult.Current(e.Result)
		if err != nil {
			t.Fatalf("what was recorded, %s, cannot be read: %v", e.Result, err)
		}
		if err := checkIPs(e, current); err != nil {
			t.Errorf("%s: %v", e.Result, err)
		}
		expectMAC(t, current, mac)
		netnsOfAdd(e, ledger.Netns{}, "/n")
	})
}

// expectMAC: wherever the result speaks of the device in the Pod, it has that address.
func expectMAC(t *testing.T, result *types100.Result, mac network.MAC) {
	t.Helper()
	for _, i := range result.Interfaces {
		if i.Name == "net1" && i.Sandbox != "" && i.Mac != string(mac) {
			t.Errorf("the result has the MAC address %q", i.Mac)
		}
	}
}
