package network

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// Annotation is the key of the Pod's annotation that selects its Networks.
const Annotation = "networks"

// MaxSelections is the number of networks that a Pod may select.
const MaxSelections = 64

// MaxAnnotationSize is the size limit of the annotation in bytes. Kubernetes has the same limit for
// all annotations of an object together.
const MaxAnnotationSize = 256 << 10

// ParseSelections parses the value of the annotation. An empty value, white space and [] all select
// nothing beyond the default network. The error names the element's index and its key.
func ParseSelections(annotation string) ([]Selection, error) {
	if len(annotation) > MaxAnnotationSize {
		return nil, fmt.Errorf("%d bytes, limit is %d", len(annotation), MaxAnnotationSize)
	}
	if strings.TrimSpace(annotation) == "" {
		return nil, nil
	}
	elements, err := splitArray(annotation)
	if err != nil {
		return nil, err
	}
	selections := make([]Selection, 0, len(elements))
	for i, element := range elements {
		selection, err := parseSelection(element)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		selections = append(selections, selection)
	}
	return selections, checkConflicts(selections)
}

// splitArray returns the elements of a JSON array, of which a Pod may have only so many.
func splitArray(annotation string) (elements []json.RawMessage, err error) {
	if err := json.Unmarshal([]byte(annotation), &elements); err != nil || elements == nil {
		return nil, notAnArray(annotation)
	}
	if len(elements) > MaxSelections {
		return nil, fmt.Errorf("%d networks, limit is %d", len(elements), MaxSelections)
	}
	return elements, nil
}

func notAnArray(annotation string) error {
	if err := strictjson.CheckSyntax([]byte(annotation)); err != nil {
		return err
	}
	return fmt.Errorf("must be a JSON array, got %.64q", strings.TrimSpace(annotation))
}

// rawOwn is one element of the annotation.
type rawOwn struct {
	rawSelection
	IfMAC       string       `json:"ifMac"`
	IsPrimary   bool         `json:"isPrimary"`
	UpperLayers []upperLayer `json:"upperLayers"`
	// An agent's own key, of which kactus has never required a type.
	PodagentSkip json.RawMessage `json:"podagentSkip"`
}

// parseSelection parses one element of the annotation. The error names the key.
func parseSelection(element []byte) (Selection, error) {
	var raw rawOwn
	if err := unmarshalElement(element, &raw); err != nil {
		return Selection{}, err
	}
	return raw.parse()
}

// unmarshalElement decodes a JSON object, in which no key may be unknown.
func unmarshalElement(element []byte, v any) error {
	if len(element) > MaxAnnotationSize {
		return fmt.Errorf("%d bytes, limit is %d", len(element), MaxAnnotationSize)
	}
	if !bytes.HasPrefix(element, []byte("{")) { // null would decode into a struct
		return fmt.Errorf("must be a JSON object, got %.64q", element)
	}
	return strictjson.Unmarshal(element, v)
}

func (raw rawOwn) parse() (Selection, error) {
	s, err := raw.rawSelection.parse()
	if err != nil {
		return Selection{}, err
	}
	s.IsPrimary, s.PodagentSkip = raw.IsPrimary, isSet(raw.PodagentSkip)
	if raw.IfMAC != "" {
		mac, err := ParseMAC(raw.IfMAC)
		switch {
		case err != nil:
			return Selection{}, fmt.Errorf("ifMac: %w", err)
		case s.MAC != "" && s.MAC != mac:
			return Selection{}, fmt.Errorf("ifMac: %s, but mac is %s: both mean the same", mac, s.MAC)
		}
		s.MAC = mac
	}
	for i, layer := range raw.UpperLayers {
		if err := ValidateName(string(layer)); err != nil {
			return Selection{}, fmt.Errorf("upperLayers[%d]: %w", i, err)
		}
		s.UpperLayers = append(s.UpperLayers, string(layer))
	}
	return s, nil
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
