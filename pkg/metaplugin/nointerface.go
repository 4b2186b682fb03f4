package metaplugin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// lacksInterface reports whether the delegate made something else than an interface of that name in
// the Pod, according to its result or to the kernel: a device for a program, such as a virtual
// function that vfio-pci has, or the socket of a vhost-user interface.
func (p *Plugin) lacksInterface(netnsPath string, a ledger.Attachment, result *cniconf.Result) bool {
	if !namesInterface(a, result) {
		return true
	}
	ns, err := p.OpenNetns(netnsPath)
	if err != nil {
		return false
	}
	defer ns.Close()
	_, err = ns.MAC(a.IfName)
	return errors.Is(err, netns.ErrNoInterface)
}

// namesInterface reports whether the result names the attachment's interface, or may mean it: there
// are no names before version 0.3.0 of the CNI specification.
func namesInterface(a ledger.Attachment, result *cniconf.Result) bool {
	if v := a.Config.CNIVersion; v == "" || strings.HasPrefix(v, "0.1.") || strings.HasPrefix(v, "0.2.") {
		return true
	}
	return slices.ContainsFunc(result.Interfaces, func(i *types100.Interface) bool {
		return i.Name == a.IfName && i.Sandbox != ""
	})
}

// verifyMACInResult compares the MAC address that the Pod asks for with that of the result, where
// there is no interface to be asked.
func verifyMACInResult(a ledger.Attachment, result *cniconf.Result) error {
	if mac := a.ResultMAC(result); mac != "" && mac != a.MAC {
		return notHonoredError(fmt.Errorf("the delegate %s gave %s the MAC address %s, not %s, and there is no such "+
			"interface on which kactus could set another", a.Config.Name, a.IfName, mac, a.MAC))
	}
	return nil
}
