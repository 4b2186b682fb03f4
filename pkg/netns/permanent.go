package netns

import (
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// SetPermanentMAC finds the interface whose MAC address is mac although its hardware has the
// permanent one, sets that, and returns the interface's name. It returns ErrNoInterface unless
// exactly one interface is such.
func (n *Namespace) SetPermanentMAC(mac, permanent network.MAC) (ifName string, err error) {
	all, err := dump(n.handle.LinkList)
	if err != nil {
		return "", fmt.Errorf("list the interfaces in %s: %w", n.path, err)
	}
	var names []string
	for _, link := range all {
		attrs := link.Attrs()
		if attrs.HardwareAddr.String() == string(mac) && attrs.PermHWAddr.String() == string(permanent) {
			names = append(names, attrs.Name)
		}
	}
	if len(names) != 1 {
		return "", fmt.Errorf("%d interfaces in %s have the MAC address %s instead of their permanent one, %s: %w",
			len(names), n.path, mac, permanent, ErrNoInterface)
	}
	return names[0], n.SetMAC(names[0], permanent)
}
