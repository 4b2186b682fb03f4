// Package podargs parses CNI_ARGS (CNI specification, section 2, "Parameters"): the Pod that an
// operation is for, and, in a hot ADD or hot DEL, the one network of the Pod. It does no I/O.
package podargs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// MaxSize is the size limit of CNI_ARGS in bytes.
const MaxSize = 16 << 10

// Args holds what CNI_ARGS says.
type Args struct {
	Pod Pod
	// Hot is the network of a hot ADD or hot DEL, and nil in operations on the whole Pod.
	Hot *Hot
}

// Pod holds a Pod's identity as the runtime passes it. Each field may be empty.
type Pod struct {
	Namespace        string `json:"namespace"`
	Name             string `json:"name"`
	UID              string `json:"uid,omitempty"`
	InfraContainerID string `json:"infraContainerID,omitempty"`
}

// Hot names one network of a running Pod.
type Hot struct {
	Network string
	// MAC is the address that the interface must have. Empty leaves it to the delegate.
	MAC network.MAC
}

// The keys of CNI_ARGS that kactus reads.
const (
	keyIgnoreUnknown    = "IgnoreUnknown"
	keyNamespace        = "K8S_POD_NAMESPACE"
	keyName             = "K8S_POD_NAME"
	keyUID              = "K8S_POD_UID"
	keyInfraContainerID = "K8S_POD_INFRA_CONTAINER_ID"
	keyNetwork          = "K8S_POD_NETWORK"
	keyIfMAC            = "K8S_POD_IFMAC"
)

// Parse parses the value of CNI_ARGS: KEY=VALUE pairs, separated by semicolons. The Pod's name and
// namespace may be missing, as in a DEL by hand: see Pod.Validate. Unknown keys are an error unless
// IgnoreUnknown is true. The error names the key.
func Parse(cniArgs string) (Args, error) {
	pairs, err := split(cniArgs)
	if err != nil {
		return Args{}, err
	}
	var args Args
	checks := []struct {
		key   string
		check func(value string) error
	}{
		{keyNamespace, func(v string) error { args.Pod.Namespace = v; return optional(v, network.ValidateNamespace) }},
		{keyName, func(v string) error { args.Pod.Name = v; return optional(v, network.ValidateName) }},
		{keyUID, func(v string) error { args.Pod.UID = v; return optional(v, validateID) }},
		{keyInfraContainerID, func(v string) error { args.Pod.InfraContainerID = v; return optional(v, validateID) }},
	}
	for _, c := range checks {
		if err := c.check(pairs[c.key]); err != nil {
			return Args{}, fmt.Errorf("%s: %w", c.key, err)
		}
	}
	args.Hot, err = parseHot(pairs)
	return args, err
}

func split(cniArgs string) (map[string]string, error) {
	if len(cniArgs) > MaxSize {
		return nil, fmt.Errorf("%d bytes, limit is %d", len(cniArgs), MaxSize)
	}
	pairs := map[string]string{}
	unknown := ""
	for pair := range strings.SplitSeq(cniArgs, ";") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" || strings.Contains(value, "=") {
			return nil, fmt.Errorf("%.64q is not KEY=VALUE", pair)
		}
		if _, dup := pairs[key]; dup {
			return nil, fmt.Errorf("%.64s: key occurs twice", key)
		}
		pairs[key] = value
		if !known(key) && unknown == "" {
			unknown = key
		}
	}
	if unknown != "" && !isTrue(pairs[keyIgnoreUnknown]) {
		return nil, fmt.Errorf("unknown key %.64q, and %s is not true", unknown, keyIgnoreUnknown)
	}
	return pairs, nil
}

func known(key string) bool {
	switch key {
	case keyIgnoreUnknown, keyNamespace, keyName, keyUID, keyInfraContainerID, keyNetwork, keyIfMAC:
		return true
	}
	return false
}

// isTrue parses a boolean as the CNI library does.
func isTrue(value string) bool { return value == "1" || strings.EqualFold(value, "true") }

// parseHot returns an error where K8S_POD_NETWORK is empty: its author meant one network, and must
// not lose all of them to a DEL of the whole Pod.
func parseHot(pairs map[string]string) (*Hot, error) {
	name, ok := pairs[keyNetwork]
	if !ok {
		if pairs[keyIfMAC] != "" {
			return nil, fmt.Errorf("%s: requires %s", keyIfMAC, keyNetwork)
		}
		return nil, nil
	}
	if err := network.ValidateName(name); err != nil {
		return nil, fmt.Errorf("%s: %w", keyNetwork, err)
	}
	hot := &Hot{Network: name}
	if mac := pairs[keyIfMAC]; mac != "" {
		var err error
		if hot.MAC, err = network.ParseMAC(mac); err != nil {
			return nil, fmt.Errorf("%s: %w", keyIfMAC, err)
		}
	}
	return hot, nil
}

func optional(value string, validate func(string) error) error {
	if value == "" {
		return nil
	}
	return validate(value)
}

// maxID is the size limit of a container's or a Pod's ID in bytes. The ledger appends to a
// container's ID to name its files, and a file name has at most 255 bytes.
const maxID = 200

// validateID rejects what would end a value of CNI_ARGS or leave a directory.
func validateID(id string) error {
	if !cniconf.IsName(id, maxID) {
		return fmt.Errorf("%.64q must begin with a letter or digit and have only those, '_', '.' and '-', "+
			"at most %d bytes", id, maxID)
	}
	return nil
}

// ValidateContainerID returns an error unless id can be a container's ID: the characters that the
// CNI specification allows (section 2), and short enough for the name of the ledger's file.
func ValidateContainerID(id string) error {
	if id == "" {
		return errors.New("must not be empty")
	}
	return validateID(id)
}

// Validate returns an error unless p names a Pod, which an ADD needs.
func (p Pod) Validate() error {
	switch {
	case p.Namespace == "":
		return fmt.Errorf("%s: missing", keyNamespace)
	case p.Name == "":
		return fmt.Errorf("%s: missing", keyName)
	}
	return nil
}

// CNIArgs returns the CNI_ARGS of a delegate: the Pod's identity and the MAC address that its
// interface must have, and no other key of kactus's own CNI_ARGS.
func (p Pod) CNIArgs(mac network.MAC) string {
	args := []string{keyIgnoreUnknown + "=1"}
	add := func(key, value string) {
		if value != "" {
			args = append(args, key+"="+value)
		}
	}
	add(keyNamespace, p.Namespace)
	add(keyName, p.Name)
	add(keyInfraContainerID, p.InfraContainerID)
	add(keyUID, p.UID)
	add("MAC", string(mac))
	add("CNI_IFMAC", string(mac))
	return strings.Join(args, ";")
}
