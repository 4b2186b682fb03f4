package cniconf

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// With returns the chain with the keys set in the configuration of each of its plugins. The error
// names the plugin that has one of them in another spelling.
func (c Chain) With(keys map[string]string) (Chain, error) {
	c.Plugins = slices.Clone(c.Plugins)
	for i, p := range c.Plugins {
		if err := checkSpelling(p.conf, slices.Collect(maps.Keys(keys))...); err != nil {
			return Chain{}, fmt.Errorf("the plugin %s: %w", p.Type, err)
		}
		p.conf = maps.Clone(p.conf)
		for key, value := range keys {
			p.conf[key], _ = json.Marshal(value)
		}
		c.Plugins[i] = p
	}
	return c, nil
}
