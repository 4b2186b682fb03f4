package cniconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
)

// Plugin is the configuration of one plugin of a chain.
type Plugin struct {
	// Type is the name of the plugin's binary, never a path.
	Type string
	// Capabilities are the keys of runtimeConfig that the plugin declares.
	Capabilities map[string]bool

	conf map[string]json.RawMessage
}

// ParsePlugin parses the complete configuration of one plugin of a chain, as Stdin returns it. It
// makes the same checks as Parse.
func ParsePlugin(config []byte) (Plugin, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(config, &object); err != nil {
		return Plugin{}, errors.New("not a JSON object")
	}
	return newPlugin(object, nil)
}

// Stdin returns the configuration that the plugin reads, which is its own with the given keys added
// or replaced.
func (p Plugin) Stdin(keys map[string]json.RawMessage) (json.RawMessage, error) {
	object := maps.Clone(p.conf)
	maps.Copy(object, keys)
	return encode(object)
}

// knownKeys are the keys of a plugin's configuration that kactus reads or sets.
var knownKeys = []string{
	"type", "name", "cniVersion", "ipam", "delegate", "capabilities", "networkName", "runtimeConfig", "prevResult",
}

// newPlugin returns the plugin with the configuration conf, in which it sets keys.
func newPlugin(conf map[string]json.RawMessage, keys map[string]string) (Plugin, error) {
	if err := checkSpelling(conf, knownKeys...); err != nil {
		return Plugin{}, err
	}
	p := Plugin{conf: conf}
	if err := readString(conf, "type", &p.Type); err != nil {
		return Plugin{}, err
	}
	if err := ValidateType(p.Type); err != nil {
		return Plugin{}, fmt.Errorf("type: %w", err)
	}
	// A plugin runs its IPAM plugin itself, and so do meta-plugins such as flannel with their
	// delegate.
	for _, key := range []string{"ipam", "delegate"} {
		if err := validateNested(conf, key); err != nil {
			return Plugin{}, err
		}
	}
	for key, value := range conf {
		if err := checkPaths(value, key); err != nil {
			return Plugin{}, err
		}
	}
	if raw, ok := conf["capabilities"]; ok {
		if err := json.Unmarshal(raw, &p.Capabilities); err != nil {
			return Plugin{}, errors.New("capabilities: not an object of booleans")
		}
	}
	for key, value := range keys {
		configured := value
		if err := readString(conf, key, &configured); err != nil {
			return Plugin{}, err
		}
		if configured != value {
			return Plugin{}, fmt.Errorf("%s: %.64q, but kactus sets %.64q", key, configured, value)
		}
		conf[key], _ = json.Marshal(value)
	}
	return p, nil
}

// checkSpelling returns an error if the object has one of the keys in another case, such as "Type"
// for "type". kactus would not see that key, but a plugin written in Go would.
func checkSpelling(object map[string]json.RawMessage, keys ...string) error {
	for _, key := range keys {
		for written := range object {
			if written != key && strings.EqualFold(written, key) {
				return fmt.Errorf("%s: spelled %q", key, written)
			}
		}
	}
	return nil
}

// validateNested returns an error if the object at key has a type that is not the name of a plugin.
func validateNested(conf map[string]json.RawMessage, key string) error {
	raw, ok := conf[key]
	if !ok {
		return nil
	}
	var nested map[string]json.RawMessage
	if err := json.Unmarshal(raw, &nested); err != nil {
		return fmt.Errorf("%s: not a JSON object", key)
	}
	if err := checkSpelling(nested, "type"); err != nil {
		return fmt.Errorf("%s.%w", key, err)
	}
	nestedType := ""
	if err := readString(nested, "type", &nestedType); err != nil {
		return fmt.Errorf("%s.%w", key, err)
	}
	if nestedType == "" {
		return nil
	}
	if err := ValidateType(nestedType); err != nil {
		return fmt.Errorf("%s.type: %w", key, err)
	}
	return nil
}

// maxTypeLength is the limit of Linux on the name of a file, in bytes.
const maxTypeLength = 255

// ValidateType returns an error unless pluginType can be the name of a file in the directories of
// CNI_PATH, and is not that of kactus itself. A path, which could lead out of them, is an error.
func ValidateType(pluginType string) error {
	if pluginType == "" {
		return errors.New("missing")
	}
	if !IsName(pluginType, maxTypeLength) {
		return fmt.Errorf("%.64q is not the name of a plugin: a letter or digit, followed by letters, digits, "+
			"'_', '.' or '-'", pluginType)
	}
	if pluginType == Self {
		return errors.New("kactus cannot be its own delegate")
	}
	return nil
}
