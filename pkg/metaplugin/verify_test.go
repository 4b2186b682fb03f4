package metaplugin

import (
	"cmp"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// fakeNetns has every interface, with a MAC address that nobody asked for.
type fakeNetns struct {
	Netns

	macErr, setErr error
	// mac is the MAC address; if it is empty, another one.
	mac network.MAC
	// setDespite means that SetMAC sets the address although it returns an error.
	setDespite bool
	set        map[string]network.MAC
	// permanent holds the arguments of SetPermanentMAC.
	permanent []network.MAC
}

func (f *fakeNetns) MAC(string) (network.MAC, error) {
	return cmp.Or(f.mac, "0a:00:00:00:00:01"), f.macErr
}

func (f *fakeNetns) SetMAC(ifName string, mac network.MAC) error {
	if f.set == nil {
		f.set = map[string]network.MAC{}
	}
	f.set[ifName] = mac
	if f.setErr == nil || f.setDespite {
		f.mac = mac
	}
	return f.setErr
}

func (f *fakeNetns) SetPermanentMAC(mac, permanent network.MAC) (string, error) {
	f.permanent = []network.MAC{mac, permanent}
	return "dev0", nil
}

func (f *fakeNetns) Close() {}

func (f *fakeNetns) plugin() *Plugin {
	return &Plugin{
		OpenNetns: func(string) (Netns, error) { return f, nil },
		Log:       slog.New(slog.DiscardHandler),
	}
}

// macRecord is a record that takes nothing but a change of a MAC address.
type macRecord struct {
	LockedRecord
	err      error
	previous network.MAC
}

func (r *macRecord) MarkMACChange(_ string, previous network.MAC) error {
	r.previous = previous
	return r.err
}

func TestVerify_Addresses(t *testing.T) {
	a := ledger.Attachment{Attachment: plan.Attachment{IfName: "net1",
		Requests: network.Requests{IPs: []string{"10.7.0.5/24"}}}}
	if err := new(fakeNetns).plugin().verify(nil, "/n", a, resultWith("10.7.0.5/24")); err != nil {
		t.Error(err)
	}
	err := new(fakeNetns).plugin().verify(nil, "/n", a, resultWith("10.7.0.6/24"))
	expectError(t, asCNI(err), CodeNotHonored, "10.7.0.5/24")
}

func TestVerify_MAC(t *testing.T) {
	const wantMAC = network.MAC("0a:58:00:00:00:05")
	const result = `{"cniVersion": "1.0.0", "interfaces": [{"name": "veth0", "mac": "0a:00:00:00:00:09"},
		{"name": "net1", "mac": "0a:00:00:00:00:01", "sandbox": "/n"},
		{"name": "net2", "mac": "0a:00:00:00:00:02", "sandbox": "/n"}]}`
	const as = network.MAC("0a:00:00:00:00:01") // as fakeNetns and the result have it
	broken := errors.New("broken")
	tests := []struct {
		name   string
		asked  network.MAC
		netns  *fakeNetns
		record macRecord
		code   uint // 0 for success
		// previous is the MAC address that is recorded; set the one that the interface gets;
		// inResult the one that the result has then.
		previous, set, inResult network.MAC
	}{
		{"not asked for", "", &fakeNetns{macErr: broken}, macRecord{}, 0, "", "", as},
		{"as it is", as, &fakeNetns{setErr: broken}, macRecord{err: broken}, 0, "", "", as},
		{"another", wantMAC, &fakeNetns{}, macRecord{}, 0, as, wantMAC, wantMAC},
		{"another than one that no interface can be given", wantMAC, &fakeNetns{mac: "00:00:00:00:00:00"},
			macRecord{err: broken}, 0, "", wantMAC, wantMAC},
		{"cannot be read", wantMAC, &fakeNetns{macErr: broken}, macRecord{}, CodeNotHonored, "", "", as},
		{"cannot be set", wantMAC, &fakeNetns{setErr: broken}, macRecord{}, CodeNotHonored, as, wantMAC, as},
		{"the previous one cannot be recorded", wantMAC, &fakeNetns{}, macRecord{err: broken},
			types.ErrIOFailure, as, "", as},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := cniconf.ParseResult([]byte(result))
			if err != nil {
				t.Fatal(err)
			}
			a := ledger.Attachment{Attachment: plan.Attachment{IfName: "net1",
				Requests: network.Requests{MAC: tt.asked}}}
			err = tt.netns.plugin().verify(&tt.record, "/n", a, r)
			if errors.Is(err, broken) != (tt.code != 0) || err != nil && code(err) != tt.code {
				t.Errorf("got %v", err)
			}
			if got := tt.record.previous; got != tt.previous {
				t.Errorf("recorded %q, want %q", got, tt.previous)
			}
			if got := tt.netns.set["net1"]; got != tt.set || len(tt.netns.set) > 1 {
				t.Errorf("set %v, want %q", tt.netns.set, tt.set)
			}
			for i, want := range []string{"0a:00:00:00:00:09", string(tt.inResult), "0a:00:00:00:00:02"} {
				if got := r.Interfaces[i].Mac; got != want {
					t.Errorf("the result has %s for %s, want %s", got, r.Interfaces[i].Name, want)
				}
			}
		})
	}
}

// Whatever a delegate prints for a network with a MAC address and an IP address, the ADD fails, or
// its result has both, can be recorded in the delegate's version, and can be read for a CHECK and a
// repeated hot ADD.
func FuzzVerify(f *testing.F) {
	versions := version.All.SupportedVersions()
	for i := range versions {
		for _, seed := range []string{
			`{}`,
			`{"cniVersion":"0.2.0","ip4":{"ip":"10.7.0.5/24"}}`,
			`{"cniVersion":"1.0.0","interfaces":[null],"ips":[{"address":"10.7.0.5/24"}]}`,
			`{"cniVersion":"0.4.0","interfaces":[{"name":"net1","mac":"0a:00:00:00:00:01","sandbox":"/n"}],` +
				`"ips":[{"version":"4","interface":0,"address":"10.7.0.5/24"}]}`,
			`{"cniVersion":"1.1.0","interfaces":[{"name":"net1","sandbox":"/n"},{"name":"net1"}],` +
				`"ips":[{"address":"::ffff:10.7.0.5/120","interface":7}],"routes":[{"dst":"0.0.0.0/0"}]}`,
		} {
			f.Add([]byte(seed), byte(i))
		}
	}
	plugin := new(fakeNetns).plugin()
	const mac = network.MAC("0a:58:00:00:00:05")
	f.Fuzz(func(t *testing.T, data []byte, v byte) {
		a := ledger.Attachment{
			Attachment: plan.Attachment{IfName: "net1",
				Requests: network.Requests{MAC: mac, IPs: []string{"10.7.0.5/24"}}},
			Result: data,
		}
		a.Config.CNIVersion = versions[int(v)%len(versions)]
		netnsOfAdd(a, netns.ID{}, "/n")
		printed, err := create.CreateFromBytes(data)
		if err != nil {
			return
		}
		result, err := cniconf.NewResult(printed)
		if err != nil {
			return
		}
		if err := plugin.verify(&macRecord{}, "/n", a, result); err != nil {
			return
		}
		if a.Result, err = cniconf.EncodeResult(result, a.Config.CNIVersion); err != nil {
			return
		}
		recorded, err := cniconf.ParseResult(a.Result)
		if err != nil {
			t.Fatalf("what was recorded, %s, cannot be read: %v", a.Result, err)
		}
		if recorded.CNIVersion != a.Config.CNIVersion && !strings.Contains(string(a.Result), a.Config.CNIVersion) {
			t.Errorf("the recorded result %s does not have the version %s", a.Result, a.Config.CNIVersion)
		}
		// Before 0.3.0, a result had one address of each family. A delegate that prints more does
		// not print the version of its configuration.
		if !hasOneAddress(a.Config.CNIVersion) || printed.Version() == a.Config.CNIVersion {
			if err := a.VerifyIPs(recorded); err != nil {
				t.Errorf("%s: %v", a.Result, err)
			}
		}
		for _, i := range recorded.Interfaces {
			if i.Name == "net1" && i.Sandbox != "" && i.Mac != string(mac) {
				t.Errorf("the recorded result has the MAC address %q: %s", i.Mac, a.Result)
			}
		}
		netnsOfAdd(a, netns.ID{}, "/n")
	})
}

func hasOneAddress(cniVersion string) bool { return cniVersion == "0.1.0" || cniVersion == "0.2.0" }
