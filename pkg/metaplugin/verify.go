package metaplugin

import (
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// verify compares what the Pod asks for with what the delegate made. It sets a MAC address that the
// delegate ignored, and corrects the result. Addresses that are missing, or have another prefix
// length, are an error.
func (p *Plugin) verify(
	record LockedRecord, netnsPath string, a ledger.Attachment, result *cniconf.Result,
) error {
	if err := a.VerifyIPs(result); err != nil {
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
