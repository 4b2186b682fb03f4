package cniconf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
)

// Plugin is the configuration of one plugin of a chain.
type Plugin struct {
	// Type is the name of the plugin's binary: never a path.
	Type string
	// Capabilities are the keys of runtimeConfig that the plugin declares that it wants.
	Capabilities map[string]bool

	conf map[string]json.RawMessage
}

// Stdin is the configuration that the plugin reads: its own, with the keys of with in the place of those it has.
func (p Plugin) Stdin(with map[string]json.RawMessage) ([]byte, error) {
	conf := maps.Clone(p.conf)
	maps.Copy(conf, with)
	return encode(conf)
}

// MarshalJSON gives the configuration as it was read, for the ledger.
func (p Plugin) MarshalJSON() ([]byte, error) { return encode(p.conf) }

// encode leaves characters alone that json.Marshal writes for HTML with six bytes each: a configuration must not grow by being read.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// UnmarshalJSON reads what MarshalJSON wrote, with the same checks as Parse: the ledger's files are input too.
func (p *Plugin) UnmarshalJSON(data []byte) error {
	var conf map[string]json.RawMessage
	if err := json.Unmarshal(data, &conf); err != nil {
		return err
	}
	plugin, err := newPlugin(conf, nil)
	if err != nil {
		return err
	}
	*p = plugin
	return nil
}

func newPlugin(conf map[string]json.RawMessage, keys map[string]string) (Plugin, error) {
	if err := checkSpelling(conf, "type", "name", "cniVersion", "ipam", "delegate", "capabilities", "networkName", "runtimeConfig", "prevResult"); err != nil {
		return Plugin{}, err
	}
	p := Plugin{conf: conf}
	if err := readString(conf, "type", &p.Type); err != nil {
		return Plugin{}, err
	}
	if err := ValidateType(p.Type); err != nil {
		return Plugin{}, fmt.Errorf("type: %w", err)
	}
	// The plugins that a plugin runs itself: its IPAM plugin, and what meta-plugins such as flannel call their delegate.
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
		own := value
		if err := readString(conf, key, &own); err != nil {
			return Plugin{}, err
		}
		if own != value {
			return Plugin{}, fmt.Errorf("%s: it is %.64q, but kactus sets it to %.64q", key, own, value)
		}
		conf[key], _ = json.Marshal(value)
	}
	return p, nil
}

// checkSpelling refuses "Type" for "type", and so on: kactus would not see it, but a plugin written in Go would.
func checkSpelling(object map[string]json.RawMessage, keys ...string) error {
	for _, key := range keys {
		for written := range object {
			if written != key && strings.EqualFold(written, key) {
				return fmt.Errorf("%s: the key is spelled %q", key, written)
			}
		}
	}
	return nil
}

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

// longestType is the longest name of a file, in bytes.
const longestType = 255

// ValidateType says whether a plugin's type is the name of a file in the folders of CNI_PATH, and not
// that of kactus itself. A path, which could reach a program outside of them, is refused.
func ValidateType(pluginType string) error {
	if pluginType == "" {
		return errors.New("there is none")
	}
	if !IsName(pluginType, longestType) {
		return fmt.Errorf("%.64q is not a plugin's name: a letter or digit, followed by those, '_', '.' or '-'", pluginType)
	}
	if pluginType == Self {
		return errors.New("kactus cannot be its own delegate")
	}
	return nil
}
