package cniconf

import (
	"encoding/json"
	"slices"
	"strings"
)

// Traits says what the plugins of a chain can touch besides the interface that they make.
type Traits struct {
	// Types are the types of all plugins that the configuration names, IPAM plugins and the
	// delegates of plugins included.
	Types []string
	// UsesPodInterface means that the chain works on another interface of the Pod.
	UsesPodInterface bool
	// AddsRoutes means that the chain can add a route in the Pod, such as a default route.
	AddsRoutes bool
	// Makes and Uses are interfaces of the node: those that the chain makes if they are missing,
	// and those that it works on.
	Makes, Uses []string
}

// Traits returns what the configuration of the chain says about that. Plugins with other keys are
// for the caller to tell by their types.
func (c Chain) Traits() Traits {
	var t Traits
	for _, p := range c.Plugins {
		for key, value := range p.conf {
			t.add(key, value)
		}
		if p.Type == "bridge" {
			t.Makes = append(t.Makes, p.bridgeName())
		}
	}
	return t
}

func (p Plugin) bridgeName() string {
	name := "cni0" // the plugin's default
	_ = readString(p.conf, "bridge", &name)
	return name
}

// add adds what a key says, however deep it is nested: the configuration of a plugin may hold that
// of another one.
func (t *Traits) add(key string, value json.RawMessage) {
	switch strings.ToLower(key) {
	case "type":
		t.Types = appendString(t.Types, value)
	case "linkincontainer", "linksincontainer":
		t.UsesPodInterface = t.UsesPodInterface || !isFalse(value)
	case "isdefaultgateway":
		t.AddsRoutes = t.AddsRoutes || !isFalse(value)
	case "routes", "default-route", "defaultroute":
		t.AddsRoutes = t.AddsRoutes || !isFalse(value)
	case "master", "device", "bridge", "link":
		t.Uses = appendString(t.Uses, value)
	}
	t.addNested(value)
}

func (t *Traits) addNested(value json.RawMessage) {
	if len(value) == 0 {
		return
	}
	switch value[0] {
	case '{':
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return
		}
		for key, inner := range object {
			t.add(key, inner)
		}
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(value, &list) != nil {
			return
		}
		for _, inner := range list {
			t.addNested(inner)
		}
	}
}

func appendString(list []string, value json.RawMessage) []string {
	var text string
	if json.Unmarshal(value, &text) != nil || text == "" || slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// isFalse reports whether a value says no: false, in whatever form, or nothing at all.
func isFalse(value json.RawMessage) bool {
	text := strings.Trim(string(value), "\" \t\r\n")
	return slices.Contains([]string{"", "false", "null", "[]", "{}"}, strings.ToLower(text))
}
