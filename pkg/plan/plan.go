// Package plan decides which attachments a Pod gets, before anything is touched, from the netconf,
// the Pod's selections, and the Networks that they name.
package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// Attachment is one interface in one Pod, and how it is made.
type Attachment struct {
	// Network is the name of the Network or NetworkAttachmentDefinition; that of the delegate,
	// where the netconf has the delegate.
	Network string
	// Namespace is that of the object; empty where the netconf has the delegate.
	Namespace string
	// NPWG means that the object is a NetworkAttachmentDefinition.
	NPWG bool
	// IfName is the name of the interface in the Pod.
	IfName string
	// Requests are what the Pod asks for.
	network.Requests
	// ResourceName is the resource of which the attachment needs a device; empty for none.
	ResourceName string
	// Device is the ID of that device; empty before AssignDevices.
	Device string
	// PodagentSkip means that the selection tells node agents to leave the attachment alone.
	PodagentSkip bool
	// Config is the delegate's configuration.
	Config cniconf.Chain
	// RuntimeConfig holds, by capability, what is passed on to the plugins that declare it.
	RuntimeConfig map[string]json.RawMessage
}

// SelectedNetwork is a selection and the Network that was found for it.
type SelectedNetwork struct {
	Selection network.Selection
	Network   network.Network
}

// ErrIsolation is returned when namespaceIsolation keeps a Pod from a Network of another namespace.
var ErrIsolation = errors.New("namespaceIsolation restricts Pods to the Networks of their own namespace")

// Namespaces returns the namespaces in which the Network of a selection is looked for, in order.
func Namespaces(conf netconf.Conf, podNamespace string, s network.Selection) ([]string, error) {
	if s.Namespace != "" {
		allowed := append([]string{podNamespace, conf.NetworkNamespace}, conf.GlobalNamespaces...)
		if conf.NamespaceIsolation && !slices.Contains(allowed, s.Namespace) {
			return nil, fmt.Errorf("network %s/%s, for a Pod of the namespace %s: %w and of %s",
				s.Namespace, s.Name, podNamespace, ErrIsolation, strings.Join(allowed[1:], ", "))
		}
		return []string{s.Namespace}, nil
	}
	var all []string
	if s.NPWG && s.IsPrimary { // Multus looks there alone
		all = append(all, conf.MultusNamespace)
	}
	for _, namespace := range []string{podNamespace, conf.NetworkNamespace} {
		if !slices.Contains(all, namespace) {
			all = append(all, namespace)
		}
	}
	return all, nil
}

// Pod returns the attachments of a whole Pod. The default network comes first, on the interface
// that the runtime names: the primary selection, else the master delegate. The others follow: those
// of the netconf, then those of the Pod, as Order has them.
func Pod(conf netconf.Conf, defaultIfName string, selected []SelectedNetwork) ([]Attachment, error) {
	var selections []network.Selection
	for _, s := range selected {
		selections = append(selections, s.Selection)
	}
	order, err := Order(conf, defaultIfName, selections)
	if err != nil {
		return nil, err
	}
	all := ofNetconf(conf, defaultIfName)
	for _, i := range order {
		a, err := attachment(conf, selected[i], ifNameOf(selections[i], defaultIfName))
		if err != nil {
			return nil, err
		}
		if selections[i].IsPrimary {
			a.RuntimeConfig = merge(conf.RuntimeConfig, a.RuntimeConfig)
			all[0] = a
		} else {
			all = append(all, a)
		}
	}
	return all, nil
}

// Order returns the indices of a Pod's selections in the order in which their attachments are made:
// that of the annotation, except that a network comes before those that its upperLayers name. It
// returns an error if one Pod cannot have them all.
func Order(conf netconf.Conf, defaultIfName string, selections []network.Selection) ([]int, error) {
	order, err := bottomUp(selections)
	if err != nil {
		return nil, err
	}
	all := ofNetconf(conf, defaultIfName)
	always := len(all)
	for _, i := range order {
		s := selections[i]
		a := Attachment{Network: s.Name, IfName: ifNameOf(s, defaultIfName)}
		if s.IsPrimary {
			if s.IfName != "" && defaultIfName != "" && s.IfName != defaultIfName {
				return nil, fmt.Errorf("the network %s: interface: %s, but the runtime names the default network's "+
					"interface: %s", s.Name, s.IfName, defaultIfName)
			}
			all[0] = a
		} else {
			all = append(all, a)
		}
	}
	return order, checkIfNames(all, always)
}

func ifNameOf(s network.Selection, defaultIfName string) string {
	if s.IsPrimary {
		return defaultIfName
	}
	return s.InterfaceName()
}

// Hot returns the attachment that a hot ADD makes.
func Hot(conf netconf.Conf, s SelectedNetwork) (Attachment, error) {
	return attachment(conf, s, s.Selection.InterfaceName())
}

// Default returns the attachments that every Pod gets by the netconf alone.
func Default(conf netconf.Conf, defaultIfName string) []Attachment {
	if len(conf.Master.Plugins) == 0 { // the netconf of a DEL, whose delegates are invalid
		return nil
	}
	return ofNetconf(conf, defaultIfName)
}

// ofNetconf returns the attachments of the netconf's own delegates, that of the master first.
func ofNetconf(conf netconf.Conf, defaultIfName string) []Attachment {
	all := []Attachment{{
		Network:       conf.Master.Name,
		IfName:        defaultIfName,
		Config:        conf.Master,
		RuntimeConfig: conf.RuntimeConfig,
	}}
	for _, chain := range conf.Auxiliary {
		all = append(all, Attachment{Network: chain.Name, IfName: network.DeviceName(chain.Name), Config: chain})
	}
	return all
}

func attachment(conf netconf.Conf, s SelectedNetwork, ifName string) (Attachment, error) {
	a := Attachment{
		Network:       s.Selection.Name,
		Namespace:     s.Network.Namespace,
		NPWG:          s.Network.NPWG,
		IfName:        ifName,
		Requests:      s.Selection.Requests,
		ResourceName:  s.Network.ResourceName,
		PodagentSkip:  s.Selection.PodagentSkip,
		RuntimeConfig: s.Selection.Capabilities(),
	}
	chain, err := s.Network.Chain(conf.CNIVersion)
	if err == nil {
		a.Config, err = chain.WithArgs(a.CNIArgs)
	}
	if err == nil {
		err = a.checkCapabilities()
	}
	if err == nil {
		err = a.checkDevice()
	}
	if err != nil {
		return Attachment{}, fmt.Errorf("network %s/%s: %w", s.Network.Namespace, s.Network.Name, err)
	}
	return a, nil
}

// ErrNotDeclared is returned when a Pod asks for what no plugin of a network can see to.
var ErrNotDeclared = errors.New("no plugin of its configuration declares that capability")

// checkCapabilities returns an error if the Pod asks for what needs a capability that no plugin
// declares. To a Network, kactus sees itself that an interface has the MAC address and the IP
// addresses; the NPWG standard wants a plugin that declares them, too (section 4.1.2.1).
func (a Attachment) checkCapabilities() error {
	required := []string{"portMappings", "bandwidth", "infinibandGUID"}
	if a.NPWG {
		required = append(required, "mac", "ips")
	}
	for _, capability := range required {
		if _, asked := a.RuntimeConfig[capability]; asked && !a.Config.Declares(capability) {
			return fmt.Errorf("the Pod asks for %s: %w (plugins: %s)",
				capability, ErrNotDeclared, strings.Join(a.Config.Types(), ", "))
		}
	}
	return nil
}

func merge(base, over map[string]json.RawMessage) map[string]json.RawMessage {
	merged := map[string]json.RawMessage{}
	maps.Copy(merged, base)
	maps.Copy(merged, over)
	return merged
}

// checkIfNames reports two attachments with the same interface name: a network that is requested
// twice, two networks whose names have the same MD5 prefix, or one whose interface name is that of
// the default network. The first ones, as many as always, are for every Pod.
func checkIfNames(all []Attachment, always int) error {
	byIfName := map[string]int{}
	for i, a := range all {
		first, taken := byIfName[a.IfName]
		switch {
		case taken && all[first].Network == a.Network && first < always:
			return fmt.Errorf("the network %s is requested twice: by the netconf, for every Pod, and by the Pod",
				a.Network)
		case taken && all[first].Network == a.Network:
			return fmt.Errorf("the network %s is requested twice by the Pod", a.Network)
		case taken:
			return fmt.Errorf("the networks %s and %s have the same interface name, %s",
				all[first].Network, a.Network, a.IfName)
		}
		byIfName[a.IfName] = i
	}
	return nil
}
