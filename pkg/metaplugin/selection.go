package metaplugin

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// checkSelection compares the selection that the netconf has with the hot network in CNI_ARGS. A
// DEL goes by the ledger, so that what is wrong is a warning, but must not become one of the whole
// Pod.
func (r *Request) checkSelection() error {
	if r.Conf.Selection == nil || r.forNode() {
		return nil
	}
	if r.Args.Hot == nil {
		return environmentError("CNI_ARGS", fmt.Errorf(
			"K8S_POD_NETWORK: missing, but the netconf has a selection of one network (runtimeConfig: %s)",
			netconf.SelectionCapability))
	}
	err := contradiction(*r.Conf.Selection, r.Args.Hot.Network, r.Args.Hot.MAC)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("netconf: runtimeConfig: %s: %w", netconf.SelectionCapability, err)
	if r.Operation != "DEL" {
		return configError(err)
	}
	if r.Conf.Selection.Name != "" { // else it is invalid, and there is a warning already
		r.Warnings = append(r.Warnings, err)
	}
	return nil
}

// contradiction returns an error if the selection cannot be that of a hot network with that name
// and MAC address.
func contradiction(s network.Selection, name string, mac network.MAC) error {
	switch {
	case s.Name != name:
		return fmt.Errorf("name: %s, but K8S_POD_NETWORK in CNI_ARGS is %s", s.Name, name)
	case s.MAC != "" && mac != "" && s.MAC != mac:
		return fmt.Errorf("ifMac: %s, but K8S_POD_IFMAC in CNI_ARGS is %s", s.MAC, mac)
	case s.NPWG && s.IfName == "":
		return errors.New("interface: missing, which a NetworkAttachmentDefinition needs in a hot operation")
	case s.IsPrimary:
		return errors.New("isPrimary: the default network of a running Pod cannot be replaced")
	}
	return nil
}

// selection returns what is asked of the network of a hot operation. An agent that passes no
// selection leaves all but the MAC address to the Network.
func (r *Request) selection() network.Selection {
	s := network.Selection{Name: r.Args.Hot.Network}
	if r.Conf.Selection != nil {
		s = *r.Conf.Selection
	}
	s.MAC = cmp.Or(s.MAC, r.Args.Hot.MAC)
	s.IfName = r.IfName
	return s
}

// checkSelected returns an error if the attachment, which is to a network of that name and whose
// interface has that MAC address, is not what the selection asks for. Without a selection, only the
// name counts, and a MAC address in CNI_ARGS.
func checkSelected(req Request, a ledger.Attachment, mac network.MAC, result *cniconf.Result) error {
	s, whole := req.selection(), req.Conf.Selection != nil
	namespaces, err := plan.Namespaces(req.Conf, req.Args.Pod.Namespace, s)
	if err != nil {
		return err
	}
	has, want := "", ""
	switch {
	case (whole || s.MAC != "") && !a.SameMAC(s.MAC, mac):
		has = "with the MAC address " + cmp.Or(string(mac), string(a.MAC), "of its delegate's choice")
		want = cmp.Or(string(s.MAC), "any")
	case !whole:
		return nil
	case a.Namespace == "":
		has, want = "as the netconf has it", "the Network of that name"
	case !slices.Contains(namespaces, a.Namespace):
		has, want = "of the namespace "+a.Namespace, strings.Join(namespaces, " or ")
	case !a.SameIPs(s.IPs, result):
		has = "with the addresses " + cmp.Or(joinIPs(result), "of its delegate's choice")
		want = cmp.Or(strings.Join(s.IPs, ", "), "any")
	case !a.Rest().Same(s.Rest()):
		has, want = "for the requests "+describe(a.Rest()), describe(s.Rest())
	default:
		return nil
	}
	return attachedError(fmt.Errorf("network %s: %s is attached already, %s and not %s: hot DEL it first",
		a.Network, a.IfName, has, want))
}

// describe returns the beginning of requests as the annotation has them.
func describe(r network.Requests) string {
	data, err := r.Encode()
	if err != nil || data == nil {
		return "{}"
	}
	return fmt.Sprintf("%.256s", data)
}

// asSelected returns the attachment with the MAC address of the selection, for a CHECK to look for,
// or an error as checkSelected does.
func asSelected(req Request, a ledger.Attachment) (ledger.Attachment, error) {
	if req.Conf.Selection == nil || a.State != ledger.Attached {
		return a, nil
	}
	result, err := recordedResult(a, req.Netns)
	if err != nil {
		return a, err
	}
	mac := req.selection().MAC
	if err := checkSelected(req, a, mac, result); err != nil {
		return a, err
	}
	a.MAC = cmp.Or(mac, a.MAC)
	return a, nil
}

func joinIPs(result *cniconf.Result) string {
	var ips []string
	for _, ip := range result.IPs {
		ips = append(ips, ip.Address.String())
	}
	return strings.Join(ips, ", ")
}
