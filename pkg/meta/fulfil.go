package meta

import (
	"fmt"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// fulfil sees to it that the device is what was asked for, whatever its delegate made of the wish: it sets the MAC address where the delegate did
// not, and says so in the result. Addresses that the delegate did not give are an error.
func (v *Verbs) fulfil(netns string, e ledger.Entry, result types.Result) (types.Result, error) {
	if e.MAC == "" && len(e.IPs) == 0 {
		return result, nil
	}
	current, err := types100.NewResultFromResult(result)
	if err != nil {
		return nil, fmt.Errorf("read the result for %s: %w", e.Device, err)
	}
	if err := checkIPs(e, current); err != nil {
		return nil, err
	}
	if e.MAC == "" {
		return result, nil
	}
	if err := v.ensureMAC(netns, e); err != nil {
		return nil, err
	}
	for _, i := range current.Interfaces {
		if i.Name == e.Device && i.Sandbox != "" {
			i.Mac = string(e.MAC)
		}
	}
	return current.GetAsVersion(e.Config.CNIVersion)
}

func checkIPs(e ledger.Entry, result *types100.Result) error {
	given := map[netip.Addr]bool{}
	for _, ip := range result.IPs {
		if addr, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			given[addr.Unmap()] = true
		}
	}
	for _, ip := range e.IPs {
		prefix, err := netip.ParsePrefix(ip)
		if err != nil {
			return fmt.Errorf("ips: %w", err)
		}
		if !given[prefix.Addr().Unmap()] {
			return fmt.Errorf("the delegate %s did not give %s the address %s that the Pod asks for: its configuration must declare the capability \"ips\", and its IPAM plugin must honour it",
				e.Config.Name, e.Device, ip)
		}
	}
	return nil
}

func (v *Verbs) ensureMAC(netns string, e ledger.Entry) error {
	devices, err := v.Devices(netns)
	if err != nil {
		return err
	}
	defer devices.Close()
	mac, err := devices.MAC(e.Device)
	if err != nil {
		return fmt.Errorf("look at the MAC address: %w", err)
	}
	if mac == e.MAC {
		return nil
	}
	v.Log.Info("the delegate ignored the MAC address, which kactus sets", "device", e.Device, "mac", e.MAC)
	return devices.SetMAC(e.Device, e.MAC)
}
