package network

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// NPWGAnnotation is the key of the Pod's annotation that selects networks as the de-facto standard
// of the Network Plumbing Working Group has it ("Kubernetes Network Custom Resource Definition
// De-facto Standard", version 1.3, section 4).
const NPWGAnnotation = nettypes.NetworkAttachmentAnnot

// ParseNPWG parses the value of that annotation: NetworkAttachmentDefinitions separated by commas
// (section 4.1.1), or a list in JSON (section 4.1.2). A key in JSON that the standard does not name
// is a warning: other implementations have keys of their own. The error names the element's index
// and its key.
func ParseNPWG(annotation string) (selections []Selection, warnings []error, err error) {
	switch text := strings.TrimSpace(annotation); {
	case len(annotation) > MaxAnnotationSize:
		return nil, nil, fmt.Errorf("%d bytes, limit is %d", len(annotation), MaxAnnotationSize)
	case text == "":
		return nil, nil, nil
	case strings.ContainsAny(text, `[{"`):
		selections, warnings, err = parseNPWGJSON(text)
	default:
		selections, err = parseNPWGList(text)
	}
	if err != nil {
		return nil, nil, err
	}
	for i := range selections {
		selections[i].NPWG, selections[i].Position = true, i+1
	}
	return selections, warnings, checkConflicts(selections)
}

// parseNPWGList parses [NAMESPACE/]NAME[@INTERFACE], separated by commas.
func parseNPWGList(text string) ([]Selection, error) {
	if count := strings.Count(text, ",") + 1; count > MaxSelections {
		return nil, fmt.Errorf("%d networks, limit is %d", count, MaxSelections)
	}
	var selections []Selection
	for i, element := range strings.Split(text, ",") {
		raw, err := splitNPWG(strings.TrimSpace(element))
		var s Selection
		if err == nil {
			s, err = raw.parse()
		}
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		selections = append(selections, s)
	}
	return selections, nil
}

// splitNPWG splits one element of the list with commas.
func splitNPWG(element string) (raw rawSelection, err error) {
	name, ifName, named := strings.Cut(element, "@")
	namespace, rest, qualified := strings.Cut(name, "/")
	if !qualified {
		namespace, rest = "", name
	}
	raw = rawSelection{
		Name: strings.TrimSpace(rest), Namespace: strings.TrimSpace(namespace), Interface: strings.TrimSpace(ifName),
	}
	switch {
	case qualified && raw.Namespace == "":
		return raw, errors.New("namespace: must not be empty before '/'")
	case named && raw.Interface == "":
		return raw, errors.New("interface: must not be empty after '@'")
	}
	return raw, nil
}

func parseNPWGJSON(text string) (selections []Selection, warnings []error, err error) {
	elements, err := splitArray(text)
	if err != nil {
		return nil, nil, err
	}
	for i, element := range elements {
		raw, unknown, err := decodeNPWG(element)
		var s Selection
		if err == nil {
			s, err = raw.parse()
		}
		if err != nil {
			return nil, nil, fmt.Errorf("element %d: %w", i, err)
		}
		for _, key := range unknown {
			warnings = append(warnings, fmt.Errorf("element %d: %.64q: unknown key, passed over", i, key))
		}
		selections = append(selections, s)
	}
	return selections, warnings[:min(len(warnings), maxWarnings)], nil
}

// maxWarnings is how many unknown keys of an annotation are worth a line in the log.
const maxWarnings = 16

// decodeNPWG decodes an element, and returns the keys that are unknown, in their order. A key in
// another letter case than that of the standard is unknown, too.
func decodeNPWG(element []byte) (raw rawSelection, unknown []string, err error) {
	if !bytes.HasPrefix(element, []byte("{")) {
		return raw, nil, fmt.Errorf("must be a JSON object, got %.64q", element)
	}
	if err := strictjson.Check(element); err != nil {
		return raw, nil, err
	}
	if err := strictjson.Decode(element, &raw); err != nil {
		return raw, nil, err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(element, &keys); err != nil {
		return raw, nil, err
	}
	for key := range keys {
		if !slices.Contains(npwgKeys, key) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	return raw, unknown, nil
}

// npwgKeys are the keys of the standard (section 4.1.2.1), and deviceID.
var npwgKeys = []string{
	"name", "namespace", "interface", "mac", "ips", "default-route", "portMappings", "bandwidth", "infiniband-guid",
	"cni-args", "deviceID", "ipam-claim-reference",
}
