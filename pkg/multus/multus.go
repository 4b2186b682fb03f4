// Package multus converts the configuration of Multus, another meta-plugin, into kactus's netconf.
// It changes nothing, and reads only the file system that it is given.
package multus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// ErrNotMultus is returned for a configuration that is not one of Multus.
var ErrNotMultus = errors.New(`not a configuration of Multus: no "type" is "multus" or "multus-shim", ` +
	"and there is no key of its daemon")

// Files says where the configurations are that Multus would read from the node's disk.
type Files struct {
	// FS is the root of the file system.
	FS fs.FS
	// Dir is the directory of the configurations; empty for those that Multus's own says.
	Dir string
}

// Outcome says what became of a key.
type Outcome int

// The outcomes of a key.
const (
	// Converted means that kactus's netconf says the same.
	Converted Outcome = iota
	// Dropped means that kactus has no such key, and does without it.
	Dropped
	// Undecided means that a person must decide what to do instead.
	Undecided
)

// Note says what became of a key.
type Note struct {
	// Key is empty for what is wrong with the netconf as a whole.
	Key     string
	Outcome Outcome
	Text    string
}

// String returns a line for an operator.
func (n Note) String() string {
	outcome := map[Outcome]string{Dropped: "no counterpart: ", Undecided: "to decide: "}[n.Outcome]
	if n.Key == "" {
		return outcome + n.Text
	}
	return fmt.Sprintf("%.64s: %s%s", n.Key, outcome, n.Text)
}

// Convert converts a configuration of Multus: a netconf, a configuration list with Multus in it, or
// the configuration of its daemon. It returns kactus's netconf, or the list with kactus in it, and
// a Note for each key. The netconf is valid unless a Note without a key says why not.
func Convert(data []byte, files Files) (config json.RawMessage, notes []Note, err error) {
	object, err := parseObject(data, netconf.MaxSize)
	if err != nil {
		return nil, nil, err
	}
	c := &conversion{files: files, netconf: map[string]json.RawMessage{}}
	if err := c.read(object); err != nil {
		return nil, nil, err
	}
	c.convert()
	config = c.encode()
	c.validate(config)
	return config, c.notes, nil
}

// read reads the configuration of the plugin, also as a part of a list, or of the daemon.
func (c *conversion) read(object map[string]json.RawMessage) error {
	if _, isList := object["plugins"]; isList {
		return c.readList(object)
	}
	c.object = canonical(object)
	switch {
	case isMultus(c.object):
		return nil
	case isDaemon(c.object):
		c.daemon = true
		return nil
	}
	return ErrNotMultus
}

// parseObject parses a JSON object of at most limit bytes.
func parseObject(data []byte, limit int) (map[string]json.RawMessage, error) {
	if len(data) > limit {
		return nil, fmt.Errorf("larger than the limit of %d bytes", limit)
	}
	if err := strictjson.Check(data); err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		return nil, errors.New("not a JSON object")
	}
	return object, nil
}

// canonical returns the object with the keys that Multus knows spelled as its documents spell them:
// its decoder ignores the letter case.
func canonical(object map[string]json.RawMessage) map[string]json.RawMessage {
	keys, spelled := Keys(), make(map[string]json.RawMessage, len(object))
	for key, value := range object {
		i := slices.IndexFunc(keys, func(k Key) bool { return strings.EqualFold(k.Name, key) })
		if i >= 0 {
			key = keys[i].Name
		}
		spelled[key] = value
	}
	return spelled
}

// isMultus reports whether the object is the configuration of the plugin, thin or thick.
func isMultus(object map[string]json.RawMessage) bool {
	t := textOf(object["type"])
	return t == "multus" || t == "multus-shim"
}

// isDaemon reports whether the object is the configuration of the thick plugin's daemon, which has
// no type.
func isDaemon(object map[string]json.RawMessage) bool {
	if object["type"] != nil {
		return false
	}
	return slices.ContainsFunc([]string{
		"chrootDir", "cniConfigDir", "multusAutoconfigDir", "multusConfigFile", "multusMasterCNI", "socketDir",
	}, func(key string) bool { return object[key] != nil })
}

// textOf returns the string, and "" for any other value.
func textOf(raw json.RawMessage) string {
	var text string
	_ = json.Unmarshal(raw, &text)
	return text
}

// validate notes what is wrong with the netconf that came of it.
func (c *conversion) validate(config json.RawMessage) {
	_, err := netconf.ParseFile(config)
	var invalid *netconf.Error
	if !errors.As(err, &invalid) {
		return
	}
	for _, problem := range invalid.Problems {
		c.note("", Undecided, "the netconf is not valid yet: %s", problem)
	}
}
