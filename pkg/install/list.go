package install

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// object is a JSON object.
type object map[string]json.RawMessage

func decode(data []byte) (o object, err error) {
	err = json.Unmarshal(data, &o)
	return o, err
}

func (o object) typeOf() (pluginType string) {
	_ = json.Unmarshal(o["type"], &pluginType)
	return pluginType
}

// list is a configuration list on the node.
type list struct {
	head    object
	plugins []object
	mode    fs.FileMode
}

func readList(path string) (list, bool) {
	if filepath.Ext(path) != ".conflist" {
		return list{}, false
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return list{}, false
	}
	info, err := os.Stat(path)
	if err != nil {
		return list{}, false
	}
	l, err := parseList(content)
	l.mode = info.Mode().Perm()
	return l, err == nil
}

func parseList(content []byte) (l list, err error) {
	if l.head, err = decode(content); err != nil {
		return l, err
	}
	if l.head["plugins"] == nil {
		return l, nil
	}
	return l, json.Unmarshal(l.head["plugins"], &l.plugins)
}

// has reports whether a plugin of that type is in the list.
func (l list) has(pluginType string) bool {
	return slices.ContainsFunc(l.plugins, func(o object) bool { return o.typeOf() == pluginType })
}

// merge returns the list's content with the netconf in it up to date, and nil if the netconf stands
// there unchanged. Other plugins of the list, and what the netconf does not have, stay.
func (l list) merge(content []byte) ([]byte, error) {
	wanted, err := wantedOf(content)
	if err != nil {
		return nil, err
	}
	plugins := slices.Clone(l.plugins)
	if places, ok := l.find(wanted.plugins); ok {
		for n, plugin := range wanted.plugins {
			plugins[places[n]] = inPlaceOf(plugins[places[n]], plugin)
		}
	} else {
		plugins = append(slices.Clone(wanted.plugins), l.others(wanted.plugins)...)
	}
	head := maps.Clone(l.head)
	maps.Copy(head, wanted.head)
	if head["plugins"], err = json.Marshal(plugins); err != nil || same(head, l.head) {
		return nil, err
	}
	merged, err := json.MarshalIndent(head, "", "  ")
	return append(merged, '\n'), err
}

// wantedOf returns what the netconf wants of a list: to have a plugin or, if the netconf is a list
// itself, to be like that.
func wantedOf(content []byte) (list, error) {
	if netconf.IsList(content) {
		return parseList(content)
	}
	plugin, err := decode(content)
	return list{plugins: []object{plugin}}, err
}

// find returns where the list has plugins of the wanted types, in that order.
func (l list) find(wanted []object) (places []int, ok bool) {
	for place, plugin := range l.plugins {
		if len(places) < len(wanted) && plugin.typeOf() == wanted[len(places)].typeOf() {
			places = append(places, place)
		}
	}
	return places, len(places) == len(wanted)
}

// others returns the list's plugins of types that are not wanted.
func (l list) others(wanted []object) []object {
	return slices.DeleteFunc(slices.Clone(l.plugins), func(o object) bool {
		return slices.ContainsFunc(wanted, func(w object) bool { return w.typeOf() == o.typeOf() })
	})
}

// same reports whether two objects mean the same: white space and the order of keys do not count.
func same(a, b object) bool { return reflect.DeepEqual(values(a), values(b)) }

func values(o object) (decoded map[string]any) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	_ = d.Decode(&decoded)
	return decoded
}

// inPlaceOf returns the plugin as it takes the place of an older version of itself in a list. The
// runtime takes name and cniVersion from the list, so the plugin has them only if it had.
func inPlaceOf(old, plugin object) object {
	plugin = maps.Clone(plugin)
	for _, key := range []string{"name", "cniVersion"} {
		delete(plugin, key)
		if value, ok := old[key]; ok {
			plugin[key] = value
		}
	}
	return plugin
}
