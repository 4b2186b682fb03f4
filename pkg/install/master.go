package install

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/confdir"
)

// sourceKey is the key of the master delegate, as it is installed, that has the path of the file
// where it was found. It is one of a list, which no plugin sees.
const sourceKey = "com.kaloom.source"

// installedMaster returns the master delegate of the netconf on the node, and nil if there is none.
// Its Path is where it was found, and its Changed when the netconf was written.
func (i *Installer) installedMaster() *confdir.Configuration {
	for _, path := range configurations(i.ConfDir) {
		content, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		own, ok := ownOf(content)
		if !ok {
			continue
		}
		c := confdir.Configuration{List: own.master()}
		if c.List == nil {
			continue
		}
		_ = json.Unmarshal(c.List[sourceKey], &c.Path)
		if info, err := os.Stat(path); err == nil {
			c.Changed = info.ModTime()
		}
		encoded, err := json.Marshal(c.List)
		if err != nil {
			continue
		}
		c.Chain, err = cniconf.Parse(encoded, cniconf.Defaults{Name: nameOf(content), CNIVersion: "0.1.0"})
		if err == nil {
			return &c
		}
	}
	return nil
}

// ownOf returns kactus's own configuration in a netconf, which may be a list.
func ownOf(content []byte) (object, bool) {
	o, err := decode(bytes.TrimSpace(content))
	if err != nil || o == nil {
		return nil, false
	}
	if o["plugins"] == nil {
		return o, o["type"] == nil || o.typeOf() == cniconf.Self
	}
	l, err := parseList(content)
	if n := l.self(); err == nil && n >= 0 {
		return l.plugins[n], true
	}
	return nil, false
}

// self returns the index of kactus in a list, and -1 if it is not there.
func (l list) self() int {
	return slices.IndexFunc(l.plugins, func(o object) bool { return o.typeOf() == cniconf.Self })
}

// master returns the master delegate of a netconf, and nil if it has none.
func (o object) master() object {
	var delegates []object
	_ = json.Unmarshal(o["delegates"], &delegates)
	for _, d := range delegates {
		var isMaster bool
		if json.Unmarshal(d["masterPlugin"], &isMaster) == nil && isMaster {
			return d
		}
	}
	return nil
}

// withMaster returns the netconf with a default network as its master delegate.
func withMaster(content []byte, network confdir.Configuration) ([]byte, error) {
	l, err := parseList(content)
	if err != nil {
		return nil, err
	}
	whole := any(l.head)
	if n := l.self(); n >= 0 {
		if l.plugins[n], err = l.plugins[n].withMaster(network); err != nil {
			return nil, err
		}
		if l.head["plugins"], err = json.Marshal(l.plugins); err != nil {
			return nil, err
		}
	} else if whole, err = l.head.withMaster(network); err != nil {
		return nil, err
	}
	completed, err := json.MarshalIndent(whole, "", "  ")
	return append(completed, '\n'), err
}

// withMaster returns kactus's own configuration with the default network before its other
// delegates, and with the capabilities that it declares: a runtime gives kactus nothing else.
func (o object) withMaster(network confdir.Configuration) (object, error) {
	o = maps.Clone(o)
	var delegates []json.RawMessage
	var capabilities map[string]json.RawMessage
	for key, value := range map[string]any{"delegates": &delegates, "capabilities": &capabilities} {
		if raw, ok := o[key]; ok {
			if err := json.Unmarshal(raw, value); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	master, err := asMaster(network)
	if err != nil {
		return nil, err
	}
	if o["delegates"], err = json.Marshal(slices.Insert(delegates, 0, master)); err != nil {
		return nil, err
	}
	capabilities = declare(capabilities, network.Chain)
	if len(capabilities) > 0 {
		o["capabilities"], err = json.Marshal(capabilities)
	}
	return o, err
}

// asMaster returns the default network as a delegate of the netconf.
func asMaster(network confdir.Configuration) (json.RawMessage, error) {
	delegate := maps.Clone(network.List)
	delegate["masterPlugin"] = json.RawMessage("true")
	delete(delegate, sourceKey)
	if network.Path != "" {
		source, err := json.Marshal(network.Path)
		if err != nil {
			return nil, err
		}
		delegate[sourceKey] = source
	}
	return json.Marshal(delegate)
}

// declare adds the capabilities of a chain to those of the netconf. What the netconf says of one
// stays.
func declare(capabilities map[string]json.RawMessage, chain cniconf.Chain) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for _, plugin := range chain.Plugins {
		for capability, declared := range plugin.Capabilities {
			if declared {
				all[capability] = json.RawMessage("true")
			}
		}
	}
	maps.Copy(all, capabilities)
	return all
}
