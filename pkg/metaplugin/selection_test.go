package metaplugin

import (
	"net"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// newHotRequest returns what NewRequest does for an operation on green with that selection.
func newHotRequest(operation, hotArgs, selection string) (Request, error) {
	args := "K8S_POD_NAMESPACE=tenant;K8S_POD_NAME=app;" + hotArgs
	return NewRequest(operation, validEnv(map[string]string{"CNI_ARGS": args, "CNI_IFNAME": "net9f27410725ab"}),
		[]byte(withKey(validNetconf, `"runtimeConfig": {"kaloom.com/selection": `+selection+`}`)))
}

func TestNewRequest_Selection(t *testing.T) {
	const green, mac = "K8S_POD_NETWORK=green", "0a:00:00:00:00:01"
	tests := []struct {
		name, args, selection string
		code                  uint // 0 for success
		words                 []string
	}{
		{"of the hot network", green, `{"name": "green", "namespace": "infra"}`, 0, nil},
		{"without a MAC address", green + ";K8S_POD_IFMAC=" + mac, `{"name": "green"}`, 0, nil},
		{"with the same MAC address", green + ";K8S_POD_IFMAC=" + mac,
			`{"name": "green", "ifMac": "0A-00-00-00-00-01"}`, 0, nil},
		{"with an empty MAC address in CNI_ARGS", green + ";K8S_POD_IFMAC=",
			`{"name": "green", "ifMac": "` + mac + `"}`, 0, nil},
		{"with what only the whole annotation needs", green,
			`{"name": "green", "isPrimary": false, "podagentSkip": "yes", "upperLayers": ["blue"]}`, 0, nil},
		{"of another network", green, `{"name": "blue"}`, types.ErrInvalidNetworkConfig,
			[]string{"name: blue", "K8S_POD_NETWORK", "green"}},
		{"with another MAC address", green + ";K8S_POD_IFMAC=" + mac, `{"name": "green", "ifMac": "0a:00:00:00:00:02"}`,
			types.ErrInvalidNetworkConfig, []string{"ifMac: 0a:00:00:00:00:02", "K8S_POD_IFMAC", mac}},
		{"of a primary network", green, `{"name": "green", "isPrimary": true}`, types.ErrInvalidNetworkConfig,
			[]string{"isPrimary"}},
		{"that is malformed", green, `{"name": "green", "foo": 1}`, types.ErrInvalidNetworkConfig,
			[]string{"foo: unknown key"}},
		{"without a hot network", "", `{"name": "green"}`, types.ErrInvalidEnvironmentVariables,
			[]string{"CNI_ARGS", "K8S_POD_NETWORK: missing", "kaloom.com/selection"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, operation := range []string{"ADD", "CHECK"} {
				_, err := newHotRequest(operation, tt.args, tt.selection)
				if tt.code != 0 {
					expectError(t, err, tt.code, tt.words...)
				} else if err != nil {
					t.Errorf("%s: %v", operation, err)
				}
			}
		})
	}
}

func TestNewRequest_SelectionOfADel(t *testing.T) {
	for _, selection := range []string{`{"name": "blue"}`, `{"name": "green", "isPrimary": true}`, `{"foo": 1}`} {
		req, err := newHotRequest("DEL", "K8S_POD_NETWORK=green", selection)
		if err != nil || req.Args.Hot == nil || len(req.Warnings) != 1 {
			t.Errorf("%s: got the warnings %v and %v", selection, req.Warnings, err)
		}
		_, err = newHotRequest("DEL", "", selection) // would be a DEL of the whole Pod
		expectError(t, err, types.ErrInvalidEnvironmentVariables, "K8S_POD_NETWORK: missing")
	}
	if _, err := newHotRequest("STATUS", "", `{"name": "green"}`); err != nil {
		t.Errorf("STATUS: %v", err)
	}
}

func TestSelection_IsTheNetconfsOrThatOfTheArgs(t *testing.T) {
	req := Request{Args: podargs.Args{Hot: &podargs.Hot{Network: "green", MAC: "0a:00:00:00:00:01"}}}
	want := network.Selection{Name: "green", Requests: network.Requests{MAC: "0a:00:00:00:00:01"}}
	expectEqual(t, "without one in the netconf", req.selection(), want)
	req.Conf.Selection = &network.Selection{Name: "green", Namespace: "infra",
		Requests: network.Requests{IPs: []string{"10.7.0.5/24"}}}
	want.Namespace, want.IPs = "infra", []string{"10.7.0.5/24"}
	expectEqual(t, "with one in the netconf", req.selection(), want)
	req.Args.Hot.MAC, req.Conf.Selection.MAC = "", "0a:00:00:00:00:02"
	want.MAC = "0a:00:00:00:00:02"
	expectEqual(t, "with the MAC address in the netconf alone", req.selection(), want)
}

func TestCheckSelected(t *testing.T) {
	const mac, other = network.MAC("0a:00:00:00:00:01"), network.MAC("0a:00:00:00:00:02")
	requested := []string{"10.7.0.5/24", "fd00::5"}
	tests := []struct {
		name, namespace string // of the attachment
		requested       []string
		requestedMAC    network.MAC
		selection       *network.Selection
		argsMAC         network.MAC
		words           []string // nil for what is the same
	}{
		{"no selection", "other", requested, mac, nil, "", nil},
		{"no selection, and the MAC address in CNI_ARGS", "other", requested, "", nil, mac, nil},
		{"no selection, and another MAC address in CNI_ARGS", "other", requested, "", nil, other,
			[]string{"with the MAC address " + string(mac) + " and not " + string(other)}},
		{"the namespace", "infra", nil, "", &network.Selection{Namespace: "infra"}, "", nil},
		{"another namespace", "infra", nil, "", &network.Selection{Namespace: "tenant"}, "",
			[]string{"of the namespace infra and not tenant"}},
		{"no namespace, for the Pod's own", "tenant", nil, "", &network.Selection{}, "", nil},
		{"no namespace, for that of the netconf", "default", nil, "", &network.Selection{}, "", nil},
		{"no namespace, for another one", "infra", nil, "", &network.Selection{}, "",
			[]string{"infra and not tenant or default"}},
		{"a network of the netconf", "", nil, "", &network.Selection{}, "", []string{"as the netconf has it"}},
		{"the MAC address", "tenant", nil, mac, &network.Selection{Requests: network.Requests{MAC: mac}}, "", nil},
		{"the MAC address, of the delegate's choice", "tenant", nil, "", &network.Selection{}, mac, nil},
		{"another MAC address", "tenant", nil, mac, &network.Selection{Requests: network.Requests{MAC: other}}, "",
			[]string{"with the MAC address " + string(mac) + " and not " + string(other)}},
		{"no MAC address", "tenant", nil, mac, &network.Selection{}, "", []string{string(mac) + " and not any"}},
		{"the addresses", "tenant", requested, "",
			&network.Selection{Requests: network.Requests{IPs: []string{"fd00::5", "10.7.0.5"}}}, "", nil},
		{"other addresses", "tenant", requested, "",
			&network.Selection{Requests: network.Requests{IPs: []string{"10.7.0.6/24"}}}, "",
			[]string{"10.7.0.5/24, fd00::5/64 and not 10.7.0.6/24"}},
		{"no addresses", "tenant", requested, "", &network.Selection{}, "", []string{"not any"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := ledger.Attachment{Attachment: plan.Attachment{
				Network: "green", Namespace: tt.namespace, IfName: "net1",
				Requests: network.Requests{IPs: tt.requested, MAC: tt.requestedMAC},
			}}
			req := Request{
				Args: podargs.Args{
					Pod: podargs.Pod{Namespace: "tenant"},
					Hot: &podargs.Hot{Network: "green", MAC: tt.argsMAC},
				},
				Conf: netconf.Conf{NetworkNamespace: "default", Selection: tt.selection},
			}
			err := checkSelected(req, a, mac, resultWith("10.7.0.5/24", "fd00::5/64"))
			if tt.words != nil {
				words := append(tt.words, "network green", "net1", "hot DEL it first")
				expectError(t, asCNI(err), CodeAttached, words...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckSelected_NamesNoAddressWhereThereIsNone(t *testing.T) {
	a := ledger.Attachment{Attachment: plan.Attachment{Network: "green", Namespace: "default", IfName: "net1"}}
	req := Request{
		Args: podargs.Args{Hot: &podargs.Hot{Network: "green"}},
		Conf: netconf.Conf{NetworkNamespace: "default",
			Selection: &network.Selection{Requests: network.Requests{IPs: []string{"10.7.0.5/24"}}}},
	}
	err := checkSelected(req, a, "", &cniconf.Result{})
	if err == nil || !strings.Contains(err.Error(), "of its delegate's choice and not 10.7.0.5/24") {
		t.Errorf("got %v", err)
	}
}

// resultWith returns a result with these addresses.
func resultWith(addresses ...string) *cniconf.Result {
	result := &cniconf.Result{}
	for _, address := range addresses {
		ip, subnet, err := net.ParseCIDR(address)
		if err != nil {
			panic(err)
		}
		result.IPs = append(result.IPs, &types100.IPConfig{Address: net.IPNet{IP: ip, Mask: subnet.Mask}})
	}
	return result
}
