package network

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
)

// A Selection is one element of a Pod's annotation: a network, and what the Pod asks of it.
type Selection struct {
	// Name is the name of the Network, or, where NPWG is true, of the NetworkAttachmentDefinition.
	Name string
	// Namespace is the namespace of that object. Empty stands for the Pod's own, then the netconf's
	// networkNamespace.
	Namespace string
	// IfName is the name of the interface that the Pod asks for. Empty leaves it to the rule: see
	// InterfaceName.
	IfName string
	Requests
	// IsPrimary makes this network the Pod's default network.
	IsPrimary bool
	// UpperLayers are the names of networks that are made on top of this one: their interfaces come
	// after this one's, whatever the order of the annotation.
	UpperLayers []string
	// PodagentSkip tells node agents to leave this network alone: another program sees to it.
	PodagentSkip bool
	// NPWG means that the selection is one of NPWGAnnotation, or of DefaultNetworkAnnotation.
	NPWG bool
	// Position is the place of the element in NPWGAnnotation, counted from 1; zero for a selection
	// that is not from there.
	Position int
}

// InterfaceName returns the name of the interface that an ADD of the whole Pod makes: the one that
// the Pod asks for, else "net" and the position of an NPWG selection, else the device name.
func (s Selection) InterfaceName() string {
	if s.NPWG {
		return cmp.Or(s.IfName, NumberedName(s.Position))
	}
	return cmp.Or(s.IfName, DeviceName(s.Name))
}

// NumberedName returns the name of an interface that an NPWG selection gets which asks for none:
// "net" and a number.
func NumberedName(number int) string { return "net" + strconv.Itoa(number) }

// IsNumbered reports whether the name is one that NumberedName returns.
func IsNumbered(ifName string) bool {
	for number := 1; number <= MaxSelections; number++ {
		if ifName == NumberedName(number) {
			return true
		}
	}
	return false
}

// rawSelection has the keys that the elements of both annotations have.
type rawSelection struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	Interface string `json:"interface,omitempty"`
	rawRequests
}

func (raw rawSelection) parse() (Selection, error) {
	if err := ValidateName(raw.Name); err != nil {
		return Selection{}, fmt.Errorf("name: %w", err)
	}
	if raw.Namespace != "" {
		if err := ValidateNamespace(raw.Namespace); err != nil {
			return Selection{}, fmt.Errorf("namespace: %w", err)
		}
	}
	if raw.Interface != "" {
		if err := ValidateIfName(raw.Interface); err != nil {
			return Selection{}, fmt.Errorf("interface: %w", err)
		}
	}
	requests, err := raw.rawRequests.parse()
	return Selection{Name: raw.Name, Namespace: raw.Namespace, IfName: raw.Interface, Requests: requests}, err
}

// kindNPWG is the kind of an NPWG selection that travels with a hot operation.
const kindNPWG = "NetworkAttachmentDefinition"

// MarshalJSON returns the selection as ParseSelection reads it.
func (s Selection) MarshalJSON() ([]byte, error) {
	kind := ""
	if s.NPWG {
		kind = kindNPWG
	}
	return json.Marshal(struct {
		Kind string `json:"kind,omitempty"`
		rawSelection
		IsPrimary    bool     `json:"isPrimary,omitempty"`
		UpperLayers  []string `json:"upperLayers,omitempty"`
		PodagentSkip bool     `json:"podagentSkip,omitempty"`
	}{
		Kind: kind,
		rawSelection: rawSelection{
			Name: s.Name, Namespace: s.Namespace, Interface: s.IfName, rawRequests: s.Requests.encode(),
		},
		IsPrimary: s.IsPrimary, UpperLayers: s.UpperLayers, PodagentSkip: s.PodagentSkip,
	})
}

// ParseSelection parses the selection that travels with a hot operation: an element of Annotation,
// or, with the key "kind" and the value "NetworkAttachmentDefinition", one of NPWGAnnotation. The
// error names the key.
func ParseSelection(element []byte) (Selection, error) {
	var raw struct {
		Kind string `json:"kind"`
		rawOwn
	}
	if err := unmarshalElement(element, &raw); err != nil {
		return Selection{}, err
	}
	s, err := raw.rawOwn.parse()
	if err == nil && raw.Kind != "" && raw.Kind != kindNPWG {
		err = fmt.Errorf("kind: %.64q must be %s, or left out", raw.Kind, kindNPWG)
	}
	s.NPWG = raw.Kind == kindNPWG
	return s, err
}

// checkConflicts returns an error if two selections exclude each other: two primary networks, two
// that ask for the default route, or two with one interface name.
func checkConflicts(selections []Selection) error {
	primary, routed := -1, -1
	byIfName := map[string]int{}
	for i, s := range selections {
		if s.IsPrimary && primary >= 0 {
			return fmt.Errorf("element %d: isPrimary: element %d (%s) already is the primary network",
				i, primary, selections[primary].Name)
		}
		if s.IsPrimary {
			primary = i
		}
		if len(s.DefaultRoute) > 0 && routed >= 0 {
			return fmt.Errorf("element %d: default-route: element %d (%s) already has the default route",
				i, routed, selections[routed].Name)
		}
		if len(s.DefaultRoute) > 0 {
			routed = i
		}
		ifName := s.InterfaceName()
		if first, taken := byIfName[ifName]; taken {
			return sameIfName(selections, first, i)
		}
		byIfName[ifName] = i
	}
	return nil
}

// sameIfName returns the error of two selections with one interface name.
func sameIfName(selections []Selection, first, i int) error {
	one, other := selections[first], selections[i]
	switch {
	case other.IfName != "":
		return fmt.Errorf("element %d: interface: element %d (%s) already has the interface %s",
			i, first, one.Name, other.IfName)
	case one.IfName != "":
		return fmt.Errorf("element %d: name: element %d (%s) asks for %s, which would be the interface of %s",
			i, first, one.Name, one.IfName, other.Name)
	case one.Name == other.Name:
		return fmt.Errorf("element %d: name: element %d already selects the network %s", i, first, other.Name)
	default:
		return fmt.Errorf("element %d: name: the networks %s and %s have the same device name, %s",
			i, one.Name, other.Name, other.InterfaceName())
	}
}
