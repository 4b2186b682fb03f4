package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// Annotation is the key of the Pod's annotation that names its networks.
const Annotation = "networks"

// MaxSelections is how many networks a Pod may ask for.
const MaxSelections = 64

// MaxAnnotationSize is the longest annotation that is read, in bytes: Kubernetes allows all annotations
// of an object together no more.
const MaxAnnotationSize = 256 << 10

// Selection is what a Pod asks for: one element of its annotation.
type Selection struct {
	Name string
	// Namespace is the Network's; empty: the Pod's own, then the netconf's networkNamespace.
	Namespace string
	// IfMAC is the MAC address that the device is to have; empty: the delegate's choice.
	IfMAC MAC
	// IPs are the addresses that the device is to have, in CIDR notation.
	IPs []string
	// IsPrimary makes this the Pod's default network.
	IsPrimary bool
}

// ParseSelections reads the annotation's value. The empty string, white space and [] all mean that the Pod asks
// for nothing beyond its default network. The error names the element's index and its field.
func ParseSelections(annotation string) ([]Selection, error) {
	if len(annotation) > MaxAnnotationSize {
		return nil, fmt.Errorf("it has %d bytes, of at most %d", len(annotation), MaxAnnotationSize)
	}
	if strings.TrimSpace(annotation) == "" {
		return nil, nil
	}
	var elements []json.RawMessage
	if err := json.Unmarshal([]byte(annotation), &elements); err != nil {
		return nil, notAnArray(annotation, err)
	}
	if elements == nil {
		return nil, errors.New("it is null, not a JSON array")
	}
	if len(elements) > MaxSelections {
		return nil, fmt.Errorf("it names %d networks, of at most %d", len(elements), MaxSelections)
	}
	selections := make([]Selection, 0, len(elements))
	for i, element := range elements {
		selection, err := parseSelection(element)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		selections = append(selections, selection)
	}
	return selections, checkTogether(selections)
}

func notAnArray(annotation string, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("it is not JSON: %w, at byte %d", err, syntax.Offset)
	}
	return fmt.Errorf("it is not a JSON array: %.64q", strings.TrimSpace(annotation))
}

func parseSelection(element []byte) (Selection, error) {
	if trimmed := strings.TrimSpace(string(element)); !strings.HasPrefix(trimmed, "{") {
		return Selection{}, fmt.Errorf("%.64q is not a JSON object", trimmed)
	}
	var raw struct {
		Name      string   `json:"name"`
		Namespace *string  `json:"namespace"`
		IfMAC     *string  `json:"ifMac"`
		IPs       []string `json:"ips"`
		IsPrimary bool     `json:"isPrimary"`
		// These two are other programs' business.
		PodagentSkip json.RawMessage `json:"podagentSkip"`
		UpperLayers  json.RawMessage `json:"upperLayers"`
	}
	if err := strictjson.Unmarshal(element, &raw); err != nil {
		return Selection{}, err
	}
	s := Selection{Name: raw.Name, IPs: raw.IPs, IsPrimary: raw.IsPrimary}
	if err := ValidateName(s.Name); err != nil {
		return Selection{}, fmt.Errorf("name: %w", err)
	}
	if raw.Namespace != nil && *raw.Namespace != "" {
		s.Namespace = *raw.Namespace
		if err := ValidateNamespace(s.Namespace); err != nil {
			return Selection{}, fmt.Errorf("namespace: %w", err)
		}
	}
	if raw.IfMAC != nil && *raw.IfMAC != "" {
		mac, err := ParseMAC(*raw.IfMAC)
		if err != nil {
			return Selection{}, fmt.Errorf("ifMac: %w", err)
		}
		s.IfMAC = mac
	}
	for i, ip := range s.IPs {
		if _, err := netip.ParsePrefix(ip); err != nil {
			return Selection{}, fmt.Errorf("ips[%d]: %.64q is not an address with a prefix length, such as 192.168.42.10/24", i, ip)
		}
	}
	return s, nil
}

func checkTogether(selections []Selection) error {
	primary := -1
	byDevice := map[string]int{}
	for i, s := range selections {
		if s.IsPrimary && primary >= 0 {
			return fmt.Errorf("element %d: isPrimary: element %d (%s) is the primary network already", i, primary, selections[primary].Name)
		}
		if s.IsPrimary {
			primary = i
		}
		device := DeviceName(s.Name)
		first, taken := byDevice[device]
		switch {
		case taken && selections[first].Name == s.Name:
			return fmt.Errorf("element %d: name: element %d names the network %s already", i, first, s.Name)
		case taken:
			return fmt.Errorf("element %d: name: the networks %s and %s have the same device name, %s", i, selections[first].Name, s.Name, device)
		}
		byDevice[device] = i
	}
	return nil
}
