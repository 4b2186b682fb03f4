package netconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// ParseFile parses a file of the runtime's CNI configuration directory: a netconf or, where it has
// the key "plugins", a configuration list of which kactus is one plugin. The Conf is what kactus
// gets of it. The error is an *Error, as for Parse.
func ParseFile(data []byte) (Conf, error) {
	_, conf, err := ReadFile(data)
	return conf, err
}

// ReadFile parses as ParseFile does, and returns the netconf that kactus gets, too.
func ReadFile(data []byte) (stdin []byte, conf Conf, err error) {
	object, err := parseObject(data)
	if err != nil || !IsList(data) {
		conf, err = Parse(data)
		return data, conf, err
	}
	p := &parser{object: object}
	head := map[string]json.RawMessage{}
	head["name"], _ = json.Marshal(p.name())
	head["cniVersion"], _ = json.Marshal(p.listVersion())
	index, plugin := p.self()
	if len(p.problems) > 0 {
		return nil, Conf{}, &Error{Problems: p.problems, UnknownVersion: p.unknownVersion}
	}
	maps.Copy(plugin, head) // as the runtime does
	if stdin, err = json.Marshal(plugin); err != nil {
		return nil, Conf{}, &Error{Problems: []string{err.Error()}}
	}
	conf, err = Parse(stdin)
	var invalid *Error
	if errors.As(err, &invalid) {
		for i, problem := range invalid.Problems {
			invalid.Problems[i] = fmt.Sprintf("plugins[%d].%s", index, problem)
		}
	}
	return stdin, conf, err
}

// IsList reports whether data is a configuration list, and not the configuration of one plugin.
func IsList(data []byte) bool {
	var list struct {
		Plugins json.RawMessage `json:"plugins"`
	}
	return json.Unmarshal(data, &list) == nil && list.Plugins != nil
}

// CheckName returns an error if a runtime would take the file's content for the other form: it goes
// by the name.
func CheckName(name string, data []byte) error {
	switch ext, list := filepath.Ext(name), IsList(data); {
	case list && (ext == ".conf" || ext == ".json"):
		return fmt.Errorf("the name of a configuration list must end in .conflist, not in %s", ext)
	case !list && ext == ".conflist":
		return errors.New("plugins: missing, or the name of the file must end in .conf")
	}
	return nil
}

// listVersion returns the version that a runtime would choose of a list's cniVersion and
// cniVersions (CNI specification 1.1.0, section 1), of those that kactus supports.
func (p *parser) listVersion() string {
	raw, ok := p.take("cniVersions")
	if !ok {
		return p.cniVersion()
	}
	var offered []string
	if err := json.Unmarshal(raw, &offered); err != nil {
		p.fail("cniVersions: must be an array of strings")
	}
	if single, ok := p.text("cniVersion", ""); ok && single != "" {
		offered = append(offered, single)
	}
	for _, v := range slices.Backward(Versions()) {
		if slices.Contains(offered, v) {
			return v
		}
	}
	p.unknownVersion = true
	p.fail("cniVersions: %q: kactus supports none of them", offered)
	return ""
}

// self returns the index and the configuration of kactus in a list's plugins.
func (p *parser) self() (int, map[string]json.RawMessage) {
	var plugins []map[string]json.RawMessage
	raw, _ := p.take("plugins")
	if json.Unmarshal(raw, &plugins) != nil || len(plugins) == 0 {
		p.fail("plugins: must be an array of at least one plugin's configuration")
		return 0, nil
	}
	var found []int
	for i, plugin := range plugins {
		var pluginType string
		if json.Unmarshal(plugin["type"], &pluginType) != nil || pluginType == "" {
			p.fail("plugins[%d].type: missing", i)
		}
		if pluginType == cniconf.Self {
			found = append(found, i)
		}
	}
	if len(found) != 1 {
		p.fail("plugins: kactus is there %d times, must be there once", len(found))
		return 0, nil
	}
	return found[0], plugins[found[0]]
}
