package multus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// conversion is what is known while a configuration is converted.
type conversion struct {
	files  Files
	daemon bool
	object map[string]json.RawMessage
	// netconf holds the keys of kactus's netconf.
	netconf map[string]json.RawMessage
	// delegates become the netconf's, the master delegate first.
	delegates []map[string]json.RawMessage
	// head and plugins are those of the list in which Multus was; nil if there is none.
	head    map[string]json.RawMessage
	plugins []json.RawMessage
	index   int
	notes   []Note
}

func (c *conversion) note(key string, outcome Outcome, format string, args ...any) {
	c.notes = append(c.notes, Note{Key: key, Outcome: outcome, Text: fmt.Sprintf(format, args...)})
}

// set sets a key of the netconf.
func (c *conversion) set(key string, value any) {
	c.netconf[key] = encode(value)
}

// text returns the string of a key, and "" where it is missing. What is no string is noted.
func (c *conversion) text(key string) string {
	var text string
	c.decode(key, "a string", &text)
	return text
}

// decode decodes the value of a key, and notes a value that is not of the kind, for which Multus
// does not start. It reports whether v has the value.
func (c *conversion) decode(key, kind string, v any) bool {
	raw, ok := c.object[key]
	if !ok || string(raw) == "null" {
		return false
	}
	if json.Unmarshal(raw, v) != nil {
		c.note(key, Undecided, "must be %s, and Multus does not start with this: %s", kind, short(raw))
		return false
	}
	return true
}

// convert converts the keys of the object, known ones in the order of the table.
func (c *conversion) convert() {
	keys := Keys()
	for _, k := range keys {
		raw, ok := c.object[k.Name]
		switch {
		case ok && string(raw) == "null":
			c.note(k.Name, Dropped, "null is as if the key were missing")
			delete(c.object, k.Name)
			c.absent(k)
		case ok:
			k.convert(c, k.Name)
		default:
			c.absent(k)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.object)) {
		if !slices.ContainsFunc(keys, func(k Key) bool { return k.Name == name }) {
			c.noteUnknown(name, "not a key of Multus's that kactus knows of", c.object[name])
		}
	}
	if c.delegates != nil {
		c.set("delegates", c.delegates)
	}
}

// noteUnknown notes a key of whatever form, and its value.
func (c *conversion) noteUnknown(key, what string, value json.RawMessage) {
	if !cniconf.IsNetworkName(key) {
		key = strconv.Quote(key)
	}
	c.note(key, Undecided, "%s, with the value %s", what, short(value))
}

// short returns the beginning of a value, on one line.
func short(value json.RawMessage) string {
	var b bytes.Buffer
	_ = json.Compact(&b, value)
	return fmt.Sprintf("%.64s", b.String())
}

func (c *conversion) absent(k Key) {
	if k.absent != nil {
		k.absent(c, k.Name)
	}
}

// readList reads a configuration list in which Multus is one of the plugins.
func (c *conversion) readList(object map[string]json.RawMessage) error {
	c.head = object
	if json.Unmarshal(c.head["plugins"], &c.plugins) != nil {
		return ErrNotMultus
	}
	c.index = -1
	for i, raw := range c.plugins {
		var plugin map[string]json.RawMessage
		if json.Unmarshal(raw, &plugin) != nil || !isMultus(canonical(plugin)) {
			continue
		}
		if c.index >= 0 {
			return fmt.Errorf("plugins: Multus is there twice, as plugins[%d] and plugins[%d]", c.index, i)
		}
		c.index, c.object = i, canonical(plugin)
	}
	if c.index < 0 {
		return ErrNotMultus
	}
	for _, key := range []string{"name", "cniVersion"} { // as the runtime passes them to the plugin
		if value, ok := c.head[key]; ok {
			c.object[key] = value
		}
	}
	c.notePlugins()
	return nil
}

// notePlugins notes what becomes of the list. Multus's installer makes lists in which it is alone,
// which become a netconf of their own.
func (c *conversion) notePlugins() {
	_, offersVersions := c.head["cniVersions"]
	if len(c.plugins) > 1 || offersVersions {
		c.note("plugins", Converted,
			"a list with kactus as plugins[%d]; the name of its file must end in .conflist", c.index)
		return
	}
	c.note("plugins", Converted, "a netconf of its own, since Multus is alone in the list")
	for _, key := range slices.Sorted(maps.Keys(c.head)) {
		switch key {
		case "plugins", "name", "cniVersion":
		case "disableCheck", "disableGC":
			c.object[key] = c.head[key]
		default:
			c.noteUnknown(key, "a key of the list, which is no more", c.head[key])
		}
	}
	c.head = nil
}

// order is that of the keys of a netconf that people like to read first, and last.
var order = []string{"cniVersion", "cniVersions", "name", "type", "kubeconfig"}

// encode returns the netconf, or the list with kactus in it, indented.
func (c *conversion) encode() json.RawMessage {
	config := c.netconf
	if c.head != nil {
		delete(c.netconf, "name")
		delete(c.netconf, "cniVersion")
		c.plugins[c.index] = encodeOrdered(c.netconf, "delegates")
		config = c.head
		config["plugins"] = encode(c.plugins)
	}
	var b bytes.Buffer
	if json.Indent(&b, encodeOrdered(config, "plugins", "delegates"), "", "  ") != nil {
		return nil // not reached: it was encoded just now
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// encodeOrdered encodes an object with the keys of order first, and those of last last.
func encodeOrdered(object map[string]json.RawMessage, last ...string) json.RawMessage {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(object)), func(name string) bool {
		return slices.Contains(order, name) || slices.Contains(last, name)
	})
	b := []byte{'{'}
	for _, name := range slices.Concat(order, names, last) {
		value, ok := object[name]
		if !ok {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, encode(name)...), ':'), value...)
	}
	return append(b, '}')
}

// encode encodes without the escapes for HTML.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return json.RawMessage("null") // not reached: all values are of types that JSON has
	}
	return bytes.TrimSpace(b.Bytes())
}
