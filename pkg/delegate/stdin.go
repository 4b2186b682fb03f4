package delegate

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// stdin returns the plugin's configuration with keys, and with what the specification adds to it
// (section 3, "Deriving request configuration from plugin configuration").
func (c Call) stdin(plugin cniconf.Plugin, keys map[string]json.RawMessage) ([]byte, error) {
	all := map[string]json.RawMessage{}
	maps.Copy(all, keys)
	all["name"], _ = json.Marshal(c.Config.Name)
	all["cniVersion"], _ = json.Marshal(c.Config.CNIVersion)
	runtimeConfig := map[string]json.RawMessage{}
	for capability, declared := range plugin.Capabilities {
		if value, ok := c.RuntimeConfig[capability]; ok && declared {
			runtimeConfig[capability] = value
		}
	}
	if len(runtimeConfig) > 0 {
		all["runtimeConfig"], _ = json.Marshal(runtimeConfig)
	}
	return plugin.Stdin(all)
}

// environment is the whole environment of a plugin.
type environment []string

// AsEnv implements invoke.CNIArgs.
func (e environment) AsEnv() []string { return e }

func (r Runner) env(operation string, c Call) environment {
	e := environment{
		"CNI_COMMAND=" + operation,
		"CNI_CONTAINERID=" + c.ContainerID,
		"CNI_NETNS=" + c.Netns,
		"CNI_IFNAME=" + c.IfName,
		"CNI_ARGS=" + c.Args,
		"CNI_PATH=" + strings.Join(r.Plugins.path, ":"),
	}
	return append(e, r.Env...)
}
