package metaplugin

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// enforceMAC sets the MAC address that the Pod asks for, if the delegate ignored it. The delegate
// may have lent an interface of the node, so the previous address is on the disk first: a tear-down
// puts it back.
func (p *Plugin) enforceMAC(record LockedRecord, netnsPath string, a ledger.Attachment) error {
	ns, err := p.OpenNetns(netnsPath)
	if err != nil {
		return notHonoredError(err)
	}
	defer ns.Close()
	mac, err := ns.MAC(a.IfName)
	if err != nil {
		return notHonoredError(fmt.Errorf("read the MAC address: %w", err))
	}
	if mac == a.MAC {
		return nil
	}
	p.Log.Info("the delegate ignored the MAC address, so kactus sets it",
		"interface", a.IfName, "mac", a.MAC, "previous", mac)
	if _, err := network.ParseMAC(string(mac)); err == nil { // any other, no interface can be given
		if err := record.MarkMACChange(a.IfName, mac); err != nil {
			return storeError(err)
		}
	}
	if err := ns.SetMAC(a.IfName, a.MAC); err != nil {
		return notHonoredError(err)
	}
	return nil
}

// putBackMAC gives the attachment's interface the MAC address that it had before kactus set
// another. It undoes kactus's own change alone: an address that somebody else has set since stays.
// An interface that is not in the Pod anymore is no error.
func (p *Plugin) putBackMAC(netnsPath string, a ledger.Attachment) error {
	if a.PreviousMAC == "" {
		return nil
	}
	err := p.putBackMACInPod(netnsPath, a)
	switch {
	case errors.Is(err, netns.ErrNoInterface), errors.Is(err, fs.ErrNotExist):
		p.putBackPermanentMAC(a, err)
		return nil
	case err != nil:
		return ioError(fmt.Errorf("put the previous MAC address %s of %s back: %w", a.PreviousMAC, a.IfName, err))
	}
	return nil
}

func (p *Plugin) putBackMACInPod(netnsPath string, a ledger.Attachment) error {
	ns, err := p.OpenNetns(netnsPath)
	if err != nil {
		return err
	}
	defer ns.Close()
	mac, err := ns.MAC(a.IfName)
	switch {
	case err != nil:
		return err
	case mac == a.PreviousMAC:
		return nil
	case mac != a.MAC:
		p.Log.Warn("the previous MAC address is not put back: somebody else changed it since kactus did",
			"network", a.Network, "interface", a.IfName, "mac", mac, "set", a.MAC, "previous", a.PreviousMAC)
		return nil
	}
	err = ns.SetMAC(a.IfName, a.PreviousMAC)
	if mac, _ = ns.MAC(a.IfName); err != nil && mac == a.PreviousMAC {
		return nil // routes that could not be restored do not matter anymore
	}
	return err
}

// ownNetns is the network namespace of this process, which is the node's.
const ownNetns = "/proc/self/ns/net"

// putBackPermanentMAC puts the previous MAC address back on an interface that is not in the Pod
// anymore, for cause. The kernel moves a network card to the node when the network namespace ends,
// but may rename it. It can still be told from all others if the previous address is its permanent
// one.
func (p *Plugin) putBackPermanentMAC(a ledger.Attachment, cause error) {
	node, err := p.OpenNetns(ownNetns)
	if err == nil {
		defer node.Close()
		var ifName string
		if ifName, err = node.SetPermanentMAC(a.MAC, a.PreviousMAC); err == nil {
			p.Log.Info("an interface that is back on the node has its permanent MAC address again",
				"network", a.Network, "interface", ifName, "mac", a.PreviousMAC)
			return
		}
	}
	p.Log.Info("the previous MAC address is not put back: the interface is gone", "network", a.Network,
		"interface", a.IfName, "mac", a.MAC, "previous", a.PreviousMAC, "cause", errors.Join(cause, err))
}
