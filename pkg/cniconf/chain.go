// Package cniconf reads the configuration of a delegate: a CNI configuration, or a list of them.
package cniconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/containernetworking/cni/pkg/version"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// MaxSize is the largest configuration of a delegate, in bytes.
const MaxSize = 1 << 20

// Self is the plugin type of kactus, which must not be its own delegate.
const Self = "kactus"

// Chain is a delegate's configuration in one form, whether it was written as one plugin's configuration
// or as a list (CNI specification, section 1, "Network configuration format"). Its JSON form is a list.
type Chain struct {
	CNIVersion   string   `json:"cniVersion"`
	Name         string   `json:"name"`
	DisableCheck bool     `json:"disableCheck,omitempty"`
	DisableGC    bool     `json:"disableGC,omitempty"`
	Plugins      []Plugin `json:"plugins"`
}

// Defaults complete a configuration that leaves them out.
type Defaults struct {
	// Type is the plugin's, for a configuration of one plugin; a configuration that names another is an error.
	Type string
	// Name is the network's.
	Name string
	// CNIVersion is the version of the CNI specification.
	CNIVersion string
	// Keys are set in each plugin's configuration; one that has another value there is an error.
	Keys map[string]string
}

// Parse reads a CNI configuration, or a configuration list (it has the key "plugins"). The error
// names the field that is wrong.
func Parse(data []byte, def Defaults) (Chain, error) {
	if len(data) > MaxSize {
		return Chain{}, fmt.Errorf("it has %d bytes, of at most %d", len(data), MaxSize)
	}
	if err := strictjson.Check(data); err != nil {
		return Chain{}, err
	}
	var head map[string]json.RawMessage
	if err := json.Unmarshal(data, &head); err != nil || head == nil {
		return Chain{}, errors.New("it is not a JSON object")
	}
	return ParseObject(head, def)
}

func (c *Chain) readHead(head map[string]json.RawMessage) error {
	if err := readString(head, "name", &c.Name); err != nil {
		return err
	}
	if !IsNetworkName(c.Name) {
		return fmt.Errorf("name: %.64q does not begin with a letter or digit, followed by those, '_', '.' or '-'", c.Name)
	}
	if err := readString(head, "cniVersion", &c.CNIVersion); err != nil {
		return err
	}
	if err := c.readVersions(head); err != nil {
		return err
	}
	if err := readBool(head, "disableCheck", &c.DisableCheck); err != nil {
		return err
	}
	return readBool(head, "disableGC", &c.DisableGC)
}

// readVersions picks the latest version that both the list and the CNI library know: cniVersions says which
// its author tried (CNI specification 1.1.0, section 1).
func (c *Chain) readVersions(head map[string]json.RawMessage) error {
	known := version.All.SupportedVersions() // in ascending order
	if !slices.Contains(known, c.CNIVersion) {
		return fmt.Errorf("cniVersion: %.64q is not a version of the CNI specification that kactus knows", c.CNIVersion)
	}
	raw, ok := head["cniVersions"]
	if !ok {
		return nil
	}
	var offered []string
	if err := json.Unmarshal(raw, &offered); err != nil {
		return errors.New("cniVersions: not an array of strings")
	}
	for _, v := range offered {
		if slices.Index(known, v) > slices.Index(known, c.CNIVersion) {
			c.CNIVersion = v
		}
	}
	return nil
}

// listKeys are those of a configuration list, by the CNI specification's section 1.
var listKeys = []string{"name", "cniVersion", "cniVersions", "disableCheck", "disableGC", "loadOnlyInlinedPlugins", "plugins"}

func parseList(head map[string]json.RawMessage, def Defaults) ([]Plugin, error) {
	for key := range head {
		if !slices.Contains(listKeys, key) {
			return nil, fmt.Errorf("%.64s: a configuration list has no such key", key)
		}
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(head["plugins"], &raw); err != nil || len(raw) == 0 {
		return nil, errors.New("plugins: not an array with at least one plugin's configuration")
	}
	plugins := make([]Plugin, 0, len(raw))
	for i, data := range raw {
		var conf map[string]json.RawMessage
		if err := json.Unmarshal(data, &conf); err != nil || conf == nil {
			return nil, fmt.Errorf("plugins[%d]: not a JSON object", i)
		}
		plugin, err := newPlugin(conf, def.Keys)
		if err != nil {
			return nil, fmt.Errorf("plugins[%d].%w", i, err)
		}
		plugins = append(plugins, plugin)
	}
	if def.Type != "" && plugins[0].Type != def.Type {
		return nil, fmt.Errorf("plugins[0].type: it is %.64q, but the plugin is said to be %.64q", plugins[0].Type, def.Type)
	}
	return plugins, nil
}

func parseOne(conf map[string]json.RawMessage, def Defaults) ([]Plugin, error) {
	own := ""
	if err := readString(conf, "type", &own); err != nil {
		return nil, err
	}
	switch {
	case own == "" && def.Type == "":
		return nil, errors.New("type: there is none")
	case own == "":
		conf["type"], _ = json.Marshal(def.Type)
	case def.Type != "" && def.Type != own:
		return nil, fmt.Errorf("type: it is %.64q, but the plugin is said to be %.64q", own, def.Type)
	}
	plugin, err := newPlugin(conf, def.Keys)
	if err != nil {
		return nil, err
	}
	return []Plugin{plugin}, nil
}

func readString(object map[string]json.RawMessage, key string, into *string) error {
	raw, ok := object[key]
	if !ok {
		return nil
	}
	var value *string
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return fmt.Errorf("%s: not a string", key)
	}
	if *value != "" {
		*into = *value
	}
	return nil
}

func readBool(object map[string]json.RawMessage, key string, into *bool) error {
	raw, ok := object[key]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: not true or false", key)
	}
	return nil
}
