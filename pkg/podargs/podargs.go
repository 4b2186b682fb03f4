// Package podargs parses CNI_ARGS (CNI specification, section 2, "Parameters"): the Pod that an
// operation is for, and, in a hot ADD or hot DEL, the one network of the Pod. It does no I/O.
package podargs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// MaxSize is the size limit of CNI_ARGS in bytes.
const MaxSize = 16 << 10

// maxWarnings is how many problems of a DEL's CNI_ARGS are worth a line in the log.
const maxWarnings = 16

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
// namespace may be missing, as in a DEL by hand: see Pod.Validate. A key that is repeated must have
// the same value each time. Unknown keys are an error unless IgnoreUnknown is true. The error names
// the key.
func Parse(cniArgs string) (Args, error) {
	args, problems := parse(cniArgs)
	if len(problems) > 0 {
		return Args{}, problems[0]
	}
	return args, nil
}

// ParseForDel parses CNI_ARGS for a DEL, which needs none of it but K8S_POD_NETWORK. Whatever else
// is wrong is a warning, and left out of the Args, and so is a Pod's name that is missing. A broken
// K8S_POD_NETWORK is an error: its author meant one network, and must not lose all of them to a DEL
// of the whole Pod.
func ParseForDel(cniArgs string) (args Args, warnings []error, err error) {
	args, problems := parse(cniArgs)
	for _, p := range problems {
		if p.key == keyNetwork {
			return Args{}, nil, p
		}
		if len(warnings) < maxWarnings {
			warnings = append(warnings, p)
		}
	}
	if err := args.Pod.Validate(); err != nil {
		warnings = append(warnings, err)
	}
	return args, warnings, nil
}

// A problem is what is wrong with one key of CNI_ARGS, whose value is left out.
type problem struct {
	key string
	error
}

// A parser collects what is wrong with CNI_ARGS.
type parser struct {
	values   map[string]string
	problems []problem
}

func (p *parser) fail(key, format string, args ...any) {
	p.problems = append(p.problems, problem{key, fmt.Errorf(format, args...)})
}

func parse(cniArgs string) (Args, []problem) {
	p := &parser{values: map[string]string{}}
	if len(cniArgs) > MaxSize {
		p.fail("", "%d bytes, limit is %d", len(cniArgs), MaxSize)
	}
	p.split(cniArgs)
	args := Args{Pod: Pod{
		Namespace:        p.value(keyNamespace, network.ValidateNamespace),
		Name:             p.value(keyName, network.ValidateName),
		UID:              p.value(keyUID, validateID),
		InfraContainerID: p.value(keyInfraContainerID, validateID),
	}}
	args.Hot = p.hot()
	return args, p.problems
}

// split reads the pairs. One that is malformed, or repeated with another value, is left out.
func (p *parser) split(cniArgs string) {
	conflicting := map[string]bool{}
	for pair := range strings.SplitSeq(cniArgs, ";") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		previous, repeated := p.values[key]
		switch {
		case !ok || key == "" || strings.Contains(value, "="):
			p.fail(key, "%.64q is not KEY=VALUE", pair)
		case key != keyNetwork && strings.EqualFold(strings.TrimSpace(key), keyNetwork):
			p.fail(keyNetwork, "%s: spelled %.64q", keyNetwork, key)
		case repeated && previous != value && !conflicting[key]:
			p.fail(key, "%.64s: key occurs twice, as %.64q and as %.64q", key, previous, value)
			conflicting[key] = true
		case !repeated:
			p.values[key] = value
		}
	}
	ignoreUnknown := isTrue(p.values[keyIgnoreUnknown])
	for _, key := range slices.Sorted(maps.Keys(p.values)) {
		if !ignoreUnknown && !known(key) {
			p.fail(key, "unknown key %.64q, and %s is not true", key, keyIgnoreUnknown)
		}
	}
	for key := range conflicting {
		delete(p.values, key)
	}
}

// value returns the value of key, or nothing if it is missing, empty or invalid.
func (p *parser) value(key string, validate func(string) error) string {
	value := p.values[key]
	if value == "" {
		return ""
	}
	if err := validate(value); err != nil {
		p.fail(key, "%s: %w", key, err)
		return ""
	}
	return value
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

// hot returns the network of a hot operation, or nil if there is none.
func (p *parser) hot() *Hot {
	name, ok := p.values[keyNetwork]
	if !ok {
		if p.values[keyIfMAC] != "" {
			p.fail(keyNetwork, "%s: requires %s", keyIfMAC, keyNetwork)
		}
		return nil
	}
	if err := network.ValidateName(name); err != nil {
		p.fail(keyNetwork, "%s: %w", keyNetwork, err)
		return nil
	}
	hot := &Hot{Network: name}
	p.value(keyIfMAC, func(mac string) (err error) {
		hot.MAC, err = network.ParseMAC(mac)
		return err
	})
	return hot
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
