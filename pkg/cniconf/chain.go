// Package cniconf parses the configuration of a delegate, which is a CNI configuration or a
// configuration list, and the results that delegates print (CNI specification, sections 1 and 5).
//
// What it parses comes from users and ends up as the stdin of programs that run as root. A
// configuration that a plugin could read differently than kactus, or that names a program outside
// of CNI_PATH, is an error.
package cniconf

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/version"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// MaxSize is the limit on the configuration of a delegate, in bytes.
const MaxSize = 1 << 20

// Self is the plugin type of kactus, which cannot be its own delegate.
const Self = "kactus"

// Chain is a delegate's configuration in one form, whether it was written as the configuration of
// one plugin or as a list (CNI specification, section 1, "Network configuration format").
type Chain struct {
	CNIVersion              string
	Name                    string
	DisableCheck, DisableGC bool
	Plugins                 []Plugin
}

// Defaults holds what a configuration can leave out.
type Defaults struct {
	// Type is the type of the plugin, or of the first plugin of a list. A configuration with
	// another type is an error.
	Type string
	// Name is the name of the network.
	Name string
	// CNIVersion is the version of the CNI specification.
	CNIVersion string
	// Keys are set in the configuration of each plugin. A configuration that has another value for
	// one of them is an error.
	Keys map[string]string
}

// Parse parses a CNI configuration or, where it has the key "plugins", a configuration list. The
// error names the field that is wrong.
func Parse(data []byte, def Defaults) (Chain, error) {
	if len(data) > MaxSize {
		return Chain{}, fmt.Errorf("%d bytes, limit is %d", len(data), MaxSize)
	}
	if err := strictjson.Check(data); err != nil {
		return Chain{}, err
	}
	var head map[string]json.RawMessage
	if err := json.Unmarshal(data, &head); err != nil || head == nil {
		return Chain{}, errors.New("not a JSON object")
	}
	return ParseObject(head, def)
}

func (c *Chain) readHead(head map[string]json.RawMessage) error {
	if err := readString(head, "name", &c.Name); err != nil {
		return err
	}
	if !IsNetworkName(c.Name) {
		return fmt.Errorf("name: %.64q is not a letter or digit, followed by letters, digits, '_', '.' or '-'", c.Name)
	}
	if err := c.readVersions(head); err != nil {
		return err
	}
	for key, value := range map[string]*bool{"disableCheck": &c.DisableCheck, "disableGC": &c.DisableGC} {
		raw, ok := head[key]
		if !ok {
			continue
		}
		var err error
		if *value, err = ParseBool(raw); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// readVersions selects the latest version that both the configuration and the CNI library support.
// A list names those that its author tried in cniVersions (CNI specification 1.1.0, section 1). The
// default is for a configuration that names none at all.
func (c *Chain) readVersions(head map[string]json.RawMessage) error {
	var own string
	if err := readString(head, "cniVersion", &own); err != nil {
		return err
	}
	var offered []string
	if raw, ok := head["cniVersions"]; ok {
		if err := json.Unmarshal(raw, &offered); err != nil {
			return errors.New("cniVersions: not an array of strings")
		}
	}
	key := "cniVersions"
	if len(offered) == 0 {
		key = "cniVersion"
	}
	if own != "" || len(offered) == 0 {
		offered = append(offered, cmp.Or(own, c.CNIVersion))
	}
	known := version.All.SupportedVersions() // in ascending order
	latest := -1
	for _, v := range offered {
		latest = max(latest, slices.Index(known, v))
	}
	if latest < 0 {
		return fmt.Errorf("%s: %.64q is not a supported version of the CNI specification",
			key, strings.Join(offered, ", "))
	}
	c.CNIVersion = known[latest]
	return nil
}

// parseList passes over keys of the list that it does not know. Tools that write lists have keys of
// their own, later versions of the specification may add some, and no plugin ever sees them.
func parseList(head map[string]json.RawMessage, def Defaults) ([]Plugin, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(head["plugins"], &raw); err != nil || len(raw) == 0 {
		return nil, errors.New("plugins: not an array of at least one plugin's configuration")
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
		return nil, fmt.Errorf("plugins[0].%w", conflictingType(plugins[0].Type, def.Type))
	}
	return plugins, nil
}

func parseOne(conf map[string]json.RawMessage, def Defaults) ([]Plugin, error) {
	pluginType := ""
	if err := readString(conf, "type", &pluginType); err != nil {
		return nil, err
	}
	switch {
	case pluginType == "" && def.Type == "":
		return nil, errors.New("type: missing")
	case pluginType == "":
		conf["type"], _ = json.Marshal(def.Type)
	case def.Type != "" && def.Type != pluginType:
		return nil, conflictingType(pluginType, def.Type)
	}
	plugin, err := newPlugin(conf, def.Keys)
	if err != nil {
		return nil, err
	}
	return []Plugin{plugin}, nil
}

func conflictingType(configured, wanted string) error {
	return fmt.Errorf("type: %.64q, but the plugin must be %.64q", configured, wanted)
}

// readString sets *value to the string at key. It leaves *value as it is where there is no such
// key, or where the string is empty.
func readString(object map[string]json.RawMessage, key string, value *string) error {
	raw, ok := object[key]
	if !ok {
		return nil
	}
	var found *string
	if err := json.Unmarshal(raw, &found); err != nil || found == nil {
		return fmt.Errorf("%s: not a string", key)
	}
	if *found != "" {
		*value = *found
	}
	return nil
}

// ParseBool parses the value of a boolean key of a configuration list. In version 0.4.0 of the CNI
// specification, disableCheck is a string, and the CNI library reads "true" and "false" in any
// letter case.
func ParseBool(value json.RawMessage) (bool, error) {
	var b bool
	if json.Unmarshal(value, &b) == nil {
		return b, nil
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		switch strings.ToLower(text) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	}
	return false, errors.New("not true or false")
}
