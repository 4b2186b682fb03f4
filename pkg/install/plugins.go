package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// checkPlugins returns an error for each plugin that the delegates need and the node lacks.
func (i *Installer) checkPlugins(conf netconf.Conf) []error {
	problems := i.checkChain("the master delegate", conf.Master)
	for _, chain := range conf.Auxiliary {
		problems = append(problems, i.checkChain("the delegate "+chain.Name, chain)...)
	}
	return problems
}

func (i *Installer) checkChain(delegate string, chain cniconf.Chain) []error {
	needed := map[string]bool{}
	for _, plugin := range chain.Plugins {
		needed[plugin.Type] = true
		if stdin, err := plugin.Stdin(nil); err == nil {
			addInner(stdin, needed)
		}
	}
	var problems []error
	for _, pluginType := range slices.Sorted(maps.Keys(needed)) {
		if err := i.checkPlugin(pluginType); err != nil {
			problems = append(problems, fmt.Errorf("plugin %s of %s: %w", pluginType, delegate, err))
		}
	}
	return problems
}

// addInner adds the types of the plugins that a plugin with that configuration runs itself: its
// IPAM plugin, and a meta-plugin's own delegates.
func addInner(config json.RawMessage, needed map[string]bool) {
	var plugin struct {
		Type      string            `json:"type"`
		IPAM      json.RawMessage   `json:"ipam"`
		Delegate  json.RawMessage   `json:"delegate"`
		Delegates []json.RawMessage `json:"delegates"`
		Plugins   []json.RawMessage `json:"plugins"`
	}
	// Each key counts, even if the value of another one has a form of its own.
	_ = json.Unmarshal(config, &plugin)
	if plugin.Type == "flannel" {
		addType(plugin.Delegate, "bridge", needed)
		addType(plugin.IPAM, "host-local", needed)
	}
	for _, inner := range append(append(plugin.Delegates, plugin.Plugins...), plugin.IPAM, plugin.Delegate) {
		addType(inner, "", needed)
		if len(inner) > 0 {
			addInner(inner, needed)
		}
	}
}

// addType adds the type of a plugin's configuration or, if that has none, the default.
func addType(config json.RawMessage, def string, needed map[string]bool) {
	var plugin struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(config, &plugin)
	if plugin.Type == "" {
		plugin.Type = def
	}
	if plugin.Type != "" {
		needed[plugin.Type] = true
	}
}

func (i *Installer) checkPlugin(pluginType string) error {
	path := filepath.Join(i.BinDir, pluginType)
	if pluginType == nullPlugin {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) || i.linked() {
			return nil // kactus itself, which is installed with it
		}
	}
	info, err := os.Stat(path)
	if err == nil && (info.IsDir() || info.Mode()&0o111 == 0) {
		err = fmt.Errorf("%s: not an executable file", path)
	}
	return err
}
