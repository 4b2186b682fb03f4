package cniconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
)

// Declares reports whether a plugin of the chain declares the capability (CNI conventions, "Dynamic
// Plugin specific fields").
func (c Chain) Declares(capability string) bool {
	for _, p := range c.Plugins {
		if p.Capabilities[capability] {
			return true
		}
	}
	return false
}

// Types returns the types of the plugins.
func (c Chain) Types() []string {
	types := make([]string, len(c.Plugins))
	for i, p := range c.Plugins {
		types[i] = p.Type
	}
	return types
}

// WithArgs returns the chain with args merged into args.cni of each plugin (CNI conventions, "args
// in network config"), in the place of those that the configuration has. The error names the field
// that is wrong.
func (c Chain) WithArgs(args map[string]json.RawMessage) (Chain, error) {
	if len(args) == 0 {
		return c, nil
	}
	plugins := make([]Plugin, len(c.Plugins))
	for i, p := range c.Plugins {
		conf := maps.Clone(p.conf)
		var err error
		if conf["args"], err = mergeArgs(conf["args"], args); err == nil {
			plugins[i], err = newPlugin(conf, nil) // they may name what a plugin runs, too
		}
		if err != nil {
			return Chain{}, err
		}
	}
	c.Plugins = plugins
	return c, nil
}

func mergeArgs(configured json.RawMessage, args map[string]json.RawMessage) (json.RawMessage, error) {
	var all, cni map[string]json.RawMessage
	if configured != nil && json.Unmarshal(configured, &all) != nil {
		return nil, errors.New("args: not a JSON object")
	}
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	if own := all["cni"]; own != nil && json.Unmarshal(own, &cni) != nil {
		return nil, errors.New("args.cni: not a JSON object")
	}
	if cni == nil {
		cni = map[string]json.RawMessage{}
	}
	maps.Copy(cni, args)
	var err error
	if all["cni"], err = encode(cni); err != nil {
		return nil, fmt.Errorf("args.cni: %w", err)
	}
	return encode(all)
}
