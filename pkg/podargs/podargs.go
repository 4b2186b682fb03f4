// Package podargs reads CNI_ARGS: which Pod a verb is for, and whether it is for one network of it alone.
package podargs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// MaxSize is the longest CNI_ARGS that is read, in bytes.
const MaxSize = 16 << 10

// Args is what CNI_ARGS says.
type Args struct {
	Pod Pod
	// Hot is the network that a hot ADD or hot DEL is for; nil where the verb is for the whole Pod.
	Hot *Hot
}

// Pod is a Pod's identity, as the runtime gives it.
type Pod struct {
	Namespace        string `json:"namespace"`
	Name             string `json:"name"`
	UID              string `json:"uid,omitempty"`
	InfraContainerID string `json:"infraContainerID,omitempty"`
}

// Hot is one network of a running Pod.
type Hot struct {
	Network string
	// MAC is the address that the device is to have; empty: the delegate's choice.
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

// Parse reads the value of CNI_ARGS: KEY=VALUE pairs, separated by semicolons (CNI specification, section 2,
// "Parameters"). A Pod's name and namespace may be missing, as in a DEL by hand: see Pod.Validate. Keys that kactus does not
// know are an error, unless IgnoreUnknown is true.
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
		return nil, fmt.Errorf("it has %d bytes, of at most %d", len(cniArgs), MaxSize)
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
			return nil, fmt.Errorf("%.64s: the key occurs twice", key)
		}
		pairs[key] = value
		if !known(key) && unknown == "" {
			unknown = key
		}
	}
	if unknown != "" && !isTrue(pairs[keyIgnoreUnknown]) {
		return nil, fmt.Errorf("%.64q is a key that kactus does not know, and %s is not true", unknown, keyIgnoreUnknown)
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

// isTrue reads a boolean as the CNI library does.
func isTrue(value string) bool { return value == "1" || strings.EqualFold(value, "true") }

// parseHot: a K8S_POD_NETWORK that is there but empty is an error, not a verb for the whole Pod: whoever wrote it meant
// one network, and must not lose them all.
func parseHot(pairs map[string]string) (*Hot, error) {
	name, ok := pairs[keyNetwork]
	if !ok {
		if pairs[keyIfMAC] != "" {
			return nil, fmt.Errorf("%s: it says nothing without %s", keyIfMAC, keyNetwork)
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

// longestID is of a container or a Pod, in bytes: the name of a file of the ledger has room for it.
const longestID = 200

// validateID keeps out what would end a value of CNI_ARGS or a folder's name.
func validateID(id string) error {
	if !cniconf.IsName(id, longestID) {
		return fmt.Errorf("%.64q does not begin with a letter or digit, followed by at most 199 of those, '_', '.' or '-'", id)
	}
	return nil
}

// ValidateContainerID says whether id can be a container's: the CNI specification's characters (section 2), and
// short enough that the ledger's file of that name can be written.
func ValidateContainerID(id string) error {
	if id == "" {
		return errors.New("it is empty")
	}
	return validateID(id)
}

// Validate says whether p names a Pod, as an ADD needs it.
func (p Pod) Validate() error {
	switch {
	case p.Namespace == "":
		return fmt.Errorf("%s: there is none", keyNamespace)
	case p.Name == "":
		return fmt.Errorf("%s: there is none", keyName)
	}
	return nil
}

// CNIArgs is the CNI_ARGS of a delegate: the Pod's identity and the MAC address that its device is to have, and nothing else
// that kactus was given.
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
