// Package plan decides what a Pod gets, before anything is touched: from the netconf, the Pod's selections and their Networks
// to a list of attachments, or an error.
package plan

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// Attachment is one device in one Pod, and how it is made.
type Attachment struct {
	// Network is the network's name; that of the delegate, where the netconf says it.
	Network string `json:"network"`
	// Namespace is the Network's; empty where the netconf says the delegate.
	Namespace string `json:"namespace,omitempty"`
	// Device is the name of the device in the Pod.
	Device string `json:"device"`
	// MAC is the address that was asked for; empty: the delegate's choice.
	MAC network.MAC `json:"mac,omitempty"`
	// IPs are the addresses that were asked for, in CIDR notation.
	IPs []string `json:"ips,omitempty"`
	// Config is the delegate's configuration.
	Config cniconf.Chain `json:"config"`
	// RuntimeConfig is what the delegate's plugins are told of the capabilities that they declare.
	RuntimeConfig map[string]json.RawMessage `json:"runtimeConfig,omitempty"`
}

// Choice is a selection and the Network that was found for it.
type Choice struct {
	Selection network.Selection
	Network   network.Network
}

// ErrIsolation is why a Pod may not have a Network of another namespace.
var ErrIsolation = errors.New("namespaceIsolation keeps Pods to the Networks of their own namespace")

// Namespaces are where the Network of a selection is looked for, in order.
func Namespaces(conf netconf.Conf, podNamespace string, s network.Selection) ([]string, error) {
	if s.Namespace != "" {
		if conf.NamespaceIsolation && s.Namespace != podNamespace && s.Namespace != conf.NetworkNamespace {
			return nil, fmt.Errorf("network %s/%s, for a Pod of the namespace %s: %w and of %s",
				s.Namespace, s.Name, podNamespace, ErrIsolation, conf.NetworkNamespace)
		}
		return []string{s.Namespace}, nil
	}
	if podNamespace == conf.NetworkNamespace {
		return []string{podNamespace}, nil
	}
	return []string{podNamespace, conf.NetworkNamespace}, nil
}

// Pod is what a whole Pod gets. The default network comes first, on the device that the runtime names: the primary choice's, else the master
// delegate's. The others follow: the netconf's, then the Pod's, in their order.
func Pod(conf netconf.Conf, defaultDevice string, choices []Choice) ([]Attachment, error) {
	first := master(conf, defaultDevice)
	others := auxiliary(conf)
	for _, c := range choices {
		device := network.DeviceName(c.Selection.Name)
		if c.Selection.IsPrimary {
			device = defaultDevice
		}
		a, err := attachment(conf, c, device)
		if err != nil {
			return nil, err
		}
		if c.Selection.IsPrimary {
			a.RuntimeConfig = merge(conf.RuntimeConfig, a.RuntimeConfig)
			first = a
		} else {
			others = append(others, a)
		}
	}
	all := append([]Attachment{first}, others...)
	return all, checkDevices(all)
}

// Hot is what a running Pod gets by a hot ADD.
func Hot(conf netconf.Conf, c Choice) (Attachment, error) {
	return attachment(conf, c, network.DeviceName(c.Selection.Name))
}

// Default is what every Pod gets by the netconf alone.
func Default(conf netconf.Conf, defaultDevice string) []Attachment {
	if len(conf.Master.Plugins) == 0 { // a DEL's netconf, whose delegates could not be read
		return nil
	}
	return append([]Attachment{master(conf, defaultDevice)}, auxiliary(conf)...)
}

func master(conf netconf.Conf, device string) Attachment {
	return Attachment{Network: conf.Master.Name, Device: device, Config: conf.Master, RuntimeConfig: conf.RuntimeConfig}
}

func auxiliary(conf netconf.Conf) []Attachment {
	var all []Attachment
	for _, chain := range conf.Auxiliary {
		all = append(all, Attachment{Network: chain.Name, Device: network.DeviceName(chain.Name), Config: chain})
	}
	return all
}

func attachment(conf netconf.Conf, c Choice, device string) (Attachment, error) {
	chain, err := c.Network.Chain(conf.CNIVersion)
	if err != nil {
		return Attachment{}, fmt.Errorf("network %s/%s: %w", c.Network.Namespace, c.Network.Name, err)
	}
	return Attachment{
		Network:       c.Selection.Name,
		Namespace:     c.Network.Namespace,
		Device:        device,
		MAC:           c.Selection.IfMAC,
		IPs:           c.Selection.IPs,
		Config:        chain,
		RuntimeConfig: runtimeConfig(c.Selection),
	}, nil
}

// runtimeConfig says a selection's wishes by the capabilities that the CNI conventions name for them.
func runtimeConfig(s network.Selection) map[string]json.RawMessage {
	rc := map[string]json.RawMessage{}
	if s.IfMAC != "" {
		rc["mac"], _ = json.Marshal(s.IfMAC)
	}
	if len(s.IPs) > 0 {
		rc["ips"], _ = json.Marshal(s.IPs)
	}
	return rc
}

func merge(base, over map[string]json.RawMessage) map[string]json.RawMessage {
	merged := map[string]json.RawMessage{}
	for _, m := range []map[string]json.RawMessage{base, over} {
		for key, value := range m {
			merged[key] = value
		}
	}
	return merged
}

// checkDevices finds two attachments for one device: a network that the netconf and the Pod both name, two networks whose names have
// the same MD5 prefix, or one whose device name is that of the default network.
func checkDevices(all []Attachment) error {
	byDevice := map[string]Attachment{}
	for _, a := range all {
		other, taken := byDevice[a.Device]
		switch {
		case taken && other.Network == a.Network:
			return fmt.Errorf("the network %s is asked for twice: by the netconf, for every Pod, and by the Pod", a.Network)
		case taken:
			return fmt.Errorf("the networks %s and %s have the same device name, %s", other.Network, a.Network, a.Device)
		}
		byDevice[a.Device] = a
	}
	return nil
}
