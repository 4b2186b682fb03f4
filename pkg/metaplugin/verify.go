package metaplugin

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// verify compares what the Pod asks for with what the delegate made. It sets a MAC address that the
// delegate ignored, and corrects the result. Addresses that are missing, or have another prefix
// length, are an error.
func (p *Plugin) verify(
	record LockedRecord, netnsPath string, a ledger.Attachment, result *cniconf.Result,
) error {
	if err := verifyIPs(a, result); err != nil {
		return notHonoredError(err)
	}
	if a.MAC == "" {
		return nil
	}
	if a.NoInterface {
		return verifyMACInResult(a, result)
	}
	if err := p.enforceMAC(record, netnsPath, a); err != nil {
		return err
	}
	for _, i := range result.Interfaces {
		if i.Name == a.IfName && i.Sandbox != "" {
			i.Mac = string(a.MAC)
		}
	}
	return nil
}

func verifyIPs(a ledger.Attachment, result *cniconf.Result) error {
	given := map[netip.Addr][]int{} // the prefix lengths
	for _, ip := range result.IPs {
		if addr, prefixLength, err := network.ParseIP(ip.Address.String()); err == nil {
			given[addr] = append(given[addr], prefixLength)
		}
	}
	for _, ip := range a.IPs {
		addr, prefixLength, err := network.ParseIP(ip)
		if err != nil {
			return fmt.Errorf("ips: %w", err)
		}
		switch got := given[addr]; {
		case got == nil:
			return fmt.Errorf("the delegate %s did not give %s the address %s that the Pod asks for: "+
				"its configuration must declare the capability \"ips\", and its IPAM plugin must honor that",
				a.Config.Name, a.IfName, ip)
		case prefixLength >= 0 && !slices.Contains(got, prefixLength):
			return fmt.Errorf("the delegate %s gave %s the address %s/%d, and not %s as the Pod asks for: "+
				"the prefix length must be that of the network's configuration, or left out",
				a.Config.Name, a.IfName, addr, got[0], ip)
		}
	}
	return nil
}
