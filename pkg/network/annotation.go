package network

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// Annotation is the key of the Pod's annotation that selects its networks.
const Annotation = "networks"

// MaxSelections is the number of networks that a Pod may select.
const MaxSelections = 64

// MaxAnnotationSize is the size limit of the annotation in bytes. Kubernetes has the same limit for
// all annotations of an object together.
const MaxAnnotationSize = 256 << 10

// A Selection is one element of a Pod's annotation: a network, and what the Pod asks of it.
type Selection struct {
	// Name is the name of the Network.
	Name string
	// Namespace is the namespace of the Network. Empty stands for the Pod's own, then the netconf's
	// networkNamespace.
	Namespace string
	// IfMAC is the MAC address that the interface must have. Empty leaves it to the delegate.
	IfMAC MAC
	// IPs are the addresses that the interface must have, as ParseIP reads them.
	IPs []string
	// IsPrimary makes this network the Pod's default network.
	IsPrimary bool
	// UpperLayers are the names of networks that are made on top of this one: their interfaces come
	// after this one's, whatever the order of the annotation.
	UpperLayers []string
	// PodagentSkip tells node agents to leave this network alone: another program sees to it.
	PodagentSkip bool
}

// MarshalJSON returns the selection as ParseSelection reads it.
func (s Selection) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name         string   `json:"name"`
		Namespace    string   `json:"namespace,omitempty"`
		IfMAC        MAC      `json:"ifMac,omitempty"`
		IPs          []string `json:"ips,omitempty"`
		IsPrimary    bool     `json:"isPrimary,omitempty"`
		UpperLayers  []string `json:"upperLayers,omitempty"`
		PodagentSkip bool     `json:"podagentSkip,omitempty"`
	}(s))
}

// ParseSelections parses the value of the annotation. An empty value, white space and [] all select
// nothing beyond the default network. The error names the element's index and its key.
func ParseSelections(annotation string) ([]Selection, error) {
	if len(annotation) > MaxAnnotationSize {
		return nil, fmt.Errorf("%d bytes, limit is %d", len(annotation), MaxAnnotationSize)
	}
	if strings.TrimSpace(annotation) == "" {
		return nil, nil
	}
	var elements []json.RawMessage
	if err := json.Unmarshal([]byte(annotation), &elements); err != nil || elements == nil {
		return nil, notAnArray(annotation)
	}
	if len(elements) > MaxSelections {
		return nil, fmt.Errorf("%d networks, limit is %d", len(elements), MaxSelections)
	}
	selections := make([]Selection, 0, len(elements))
	for i, element := range elements {
		selection, err := ParseSelection(element)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		selections = append(selections, selection)
	}
	return selections, checkConflicts(selections)
}

func notAnArray(annotation string) error {
	if err := strictjson.CheckSyntax([]byte(annotation)); err != nil {
		return err
	}
	return fmt.Errorf("must be a JSON array, got %.64q", strings.TrimSpace(annotation))
}

// ParseSelection parses one element of the annotation. The error names the key.
func ParseSelection(element []byte) (Selection, error) {
	if len(element) > MaxAnnotationSize {
		return Selection{}, fmt.Errorf("%d bytes, limit is %d", len(element), MaxAnnotationSize)
	}
	if !bytes.HasPrefix(element, []byte("{")) { // null would decode into a struct
		return Selection{}, fmt.Errorf("must be a JSON object, got %.64q", element)
	}
	var raw struct {
		Name        string       `json:"name"`
		Namespace   string       `json:"namespace"`
		IfMAC       string       `json:"ifMac"`
		IPs         []string     `json:"ips"`
		IsPrimary   bool         `json:"isPrimary"`
		UpperLayers []upperLayer `json:"upperLayers"`
		// An agent's own key, of which kactus has never required a type.
		PodagentSkip json.RawMessage `json:"podagentSkip"`
	}
	if err := strictjson.Unmarshal(element, &raw); err != nil {
		return Selection{}, err
	}
	s := Selection{Name: raw.Name, Namespace: raw.Namespace, IPs: raw.IPs, IsPrimary: raw.IsPrimary}
	if err := ValidateName(s.Name); err != nil {
		return Selection{}, fmt.Errorf("name: %w", err)
	}
	if s.Namespace != "" {
		if err := ValidateNamespace(s.Namespace); err != nil {
			return Selection{}, fmt.Errorf("namespace: %w", err)
		}
	}
	if raw.IfMAC != "" {
		var err error
		if s.IfMAC, err = ParseMAC(raw.IfMAC); err != nil {
			return Selection{}, fmt.Errorf("ifMac: %w", err)
		}
	}
	for i, layer := range raw.UpperLayers {
		if err := ValidateName(string(layer)); err != nil {
			return Selection{}, fmt.Errorf("upperLayers[%d]: %w", i, err)
		}
		s.UpperLayers = append(s.UpperLayers, string(layer))
	}
	s.PodagentSkip = isSet(raw.PodagentSkip)
	return s, validateIPs(s.IPs)
}

// isSet reports whether a value is there, and neither false nor null.
func isSet(value json.RawMessage) bool {
	return len(value) > 0 && string(value) != "false" && string(value) != "null"
}

// upperLayer is the name of a network. In the annotation, it may also be the name in an object,
// such as the network's own element.
type upperLayer string

// UnmarshalJSON implements json.Unmarshaler.
func (u *upperLayer) UnmarshalJSON(data []byte) error {
	var name string
	if json.Unmarshal(data, &name) != nil {
		var object struct{ Name string }
		if err := json.Unmarshal(data, &object); err != nil {
			return errors.New("upperLayers: must be an array of names")
		}
		name = object.Name
	}
	*u = upperLayer(name)
	return nil
}

func validateIPs(ips []string) error {
	for i, ip := range ips {
		if _, _, err := ParseIP(ip); err != nil {
			return fmt.Errorf("ips[%d]: %w", i, err)
		}
	}
	return nil
}

// checkConflicts returns an error if two selections exclude each other: two primary networks, or
// two networks with one device name.
func checkConflicts(selections []Selection) error {
	primary := -1
	byIfName := map[string]int{}
	for i, s := range selections {
		if s.IsPrimary && primary >= 0 {
			return fmt.Errorf("element %d: isPrimary: element %d (%s) already is the primary network",
				i, primary, selections[primary].Name)
		}
		if s.IsPrimary {
			primary = i
		}
		ifName := DeviceName(s.Name)
		first, taken := byIfName[ifName]
		switch {
		case taken && selections[first].Name == s.Name:
			return fmt.Errorf("element %d: name: element %d already selects the network %s", i, first, s.Name)
		case taken:
			return fmt.Errorf("element %d: name: the networks %s and %s have the same device name, %s",
				i, selections[first].Name, s.Name, ifName)
		}
		byIfName[ifName] = i
	}
	return nil
}
