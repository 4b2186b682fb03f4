package multus

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// Multus's defaults.
const (
	defaultName      = "multus-cni-network"
	defaultConfDir   = "/etc/cni/multus/net.d"
	defaultBinDir    = "/opt/cni/bin"
	defaultNamespace = "kube-system"
)

// kubeconfigPath is where kactus install writes the kubeconfig.
const kubeconfigPath = "/etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml"

func (c *conversion) setType(key string) {
	c.set(key, cniconf.Self)
	if c.daemon {
		return
	}
	c.note(key, Converted, "%s", cniconf.Self)
}

// name keeps the name: by it, the runtime finds the results of Pods that run.
func (c *conversion) name(key string) {
	name := c.text(key)
	switch {
	case c.daemon && c.object[key] != nil && name != defaultName:
		c.note(key, Converted, "%s, which the daemon makes of any name", defaultName)
		name = defaultName
	case name == "":
		name = defaultName
		c.note(key, Converted, "%s, which is what Multus's installer writes", name)
	default:
		c.note(key, Converted, "as it is: by it, runtimes find the results of the Pods that run")
	}
	c.set(key, name)
}

func (c *conversion) namespace() string {
	namespace := textOf(c.object["multusNamespace"])
	if namespace == "" {
		return defaultNamespace
	}
	return namespace
}

func (c *conversion) systemNamespaces(key string) {
	if len(c.defaults()) == 0 {
		if c.object[key] != nil {
			c.note(key, Dropped, "only defaultNetworks goes by it, and there is none")
		}
		return
	}
	namespaces := []string{defaultNamespace}
	c.decode(key, "an array of strings", &namespaces)
	c.note(key, Undecided, "Pods in %s get the networks of defaultNetworks, too: delegates are for every Pod. "+
		"Take them from delegates, and name them in the annotations of those Pods that need them, if that is wrong",
		strings.Join(namespaces, ", "))
}

// globalNamespaces makes an array of the list. If it lacks the namespace default, which kactus
// takes for global, another one takes its place.
func (c *conversion) globalNamespaces(key string) {
	list := c.text(key)
	if list == "" {
		return
	}
	var namespaces []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			namespaces = append(namespaces, name)
		}
	}
	c.set(key, namespaces)
	if slices.Contains(namespaces, netconf.DefaultNetworkNamespace) || len(namespaces) == 0 ||
		string(c.object["namespaceIsolation"]) != "true" {
		c.note(key, Converted, "an array")
		return
	}
	c.set("networkNamespace", namespaces[0])
	c.note(key, Converted, "an array; and networkNamespace is %s, because its default, %s, is not global here",
		namespaces[0], netconf.DefaultNetworkNamespace)
}

func (c *conversion) kubeconfig(key string) {
	c.set(key, kubeconfigPath)
	c.note(key, Converted, "%s, which `kactus install` writes: Multus's has the rights of Multus's account",
		kubeconfigPath)
}

// confDir returns the directory in which Multus looks for configurations by name, as a path of the
// node.
func (c *conversion) confDir() string {
	if dir := textOf(c.object["confDir"]); dir != "" {
		return withoutHost(dir)
	}
	return defaultConfDir
}

func (c *conversion) setConfDir(key string) {
	given := c.text(key)
	c.set(key, c.confDir())
	switch given {
	case "":
		c.note(key, Converted, "%s, Multus's default", c.confDir())
	case c.confDir():
		c.note(key, Converted, "as it is")
	default:
		c.note(key, Converted, "%s, where %s is on the node", c.confDir(), given)
	}
}

// cniDir tells kactus where the records of Multus are. kactus's cniDir is that of its own.
func (c *conversion) cniDir(key string) {
	dir := netconf.DefaultMultusDir
	if given := c.text(key); given != "" {
		dir = withoutHost(given)
	}
	c.set("multusDir", dir)
	c.note(key, Converted, "multusDir, %s: a DEL of a Pod that Multus attached goes by what is there. kactus's cniDir "+
		"is another directory", dir)
}

func (c *conversion) binDir(key string) {
	dir := withoutHost(c.text(key))
	if dir == defaultBinDir || c.text(key) == "" {
		c.note(key, Dropped, "kactus uses the directories that the runtime names, such as %s", defaultBinDir)
		return
	}
	c.note(key, Undecided, "kactus uses the directories that the runtime names alone: add %s to containerd's "+
		"bin_dirs or CRI-O's plugin_dirs, or move its plugins", dir)
}

// capabilities keeps those of Multus, and adds that by which node agents pass a selection.
func (c *conversion) capabilities(key string) {
	var all map[string]json.RawMessage
	given := c.decode(key, "an object", &all)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	if c.daemon && len(c.delegates) > 0 { // as the daemon does
		for _, capability := range declared(c.delegates[0]) {
			all[capability] = json.RawMessage("true")
		}
	}
	all[netconf.SelectionCapability] = json.RawMessage("true")
	c.set(key, all)
	if given {
		c.note(key, Converted, "as they are, and %s, for hot operations", netconf.SelectionCapability)
	}
}

// declared returns the capabilities that the plugins of a delegate declare.
func declared(delegate map[string]json.RawMessage) []string {
	plugins := []map[string]json.RawMessage{delegate}
	if raw, isList := delegate["plugins"]; isList {
		plugins = nil
		_ = json.Unmarshal(raw, &plugins)
	}
	var all []string
	for _, plugin := range plugins {
		var capabilities map[string]bool
		_ = json.Unmarshal(plugin["capabilities"], &capabilities)
		for name, isSet := range capabilities {
			if isSet {
				all = append(all, name)
			}
		}
	}
	return all
}

func (c *conversion) logLevel(key string) {
	level := c.text(key)
	levels := map[string]string{"debug": "debug", "verbose": "info", "error": "error", "panic": "error"}
	to, ok := levels[strings.ToLower(level)]
	if !ok {
		c.note(key, Dropped, "%.64q is no level, and Multus passes over it", level)
		return
	}
	c.set(key, to)
	c.note(key, Converted, "%s", to)
}

// logFile names another file: kactus's log must not be open to other users, and Multus's is.
func (c *conversion) logFile(key string) {
	given := c.text(key)
	if given == "" {
		return
	}
	file := path.Join(path.Dir(withoutHost(given)), "kactus.log")
	c.set(key, file)
	c.note(key, Converted, "%s, beside Multus's own, which other users may read", file)
}

func (c *conversion) logOptions(key string) {
	if textOf(c.object["logFile"]) == "" {
		c.note(key, Dropped, "there is no logFile to be rotated")
		return
	}
	c.note(key, Undecided, "kactus does not rotate its log: have logrotate do it; kactus opens the file anew for each "+
		"operation, and needs no signal")
}

func (c *conversion) forceCNIVersion(key string) {
	if string(c.object[key]) != "true" {
		c.note(key, Dropped, "as it is not set, nothing is lost")
		return
	}
	c.note(key, Undecided, "delegates keep their own cniVersion: change it there, if it must be the netconf's")
}

func (c *conversion) overrideName(key string) {
	if string(c.object[key]) != "true" {
		c.note(key, Dropped, "as it is not set, nothing is lost")
		return
	}
	name := ""
	if len(c.delegates) > 0 {
		name = textOf(c.delegates[0]["name"])
	}
	if name == "" {
		c.note(key, Undecided, "name must become that of the default network, which is not known here")
		return
	}
	c.set("name", name)
	c.note(key, Converted, "name is %s, that of the default network", name)
}
