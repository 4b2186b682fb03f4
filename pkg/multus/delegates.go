package multus

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// setMaster makes config the master delegate.
func (c *conversion) setMaster(config map[string]json.RawMessage) {
	config["masterPlugin"] = json.RawMessage("true")
	c.delegates = append([]map[string]json.RawMessage{config}, c.delegates...)
}

// clusterNetwork looks for the default network as Multus does, apart from NADs.
func (c *conversion) clusterNetwork(key string) {
	value := c.text(key)
	if value == "" {
		return
	}
	f, err := c.resolve(value)
	switch {
	case errors.Is(err, errNotFound):
		c.note(key, Undecided, "%s", c.isNAD(value, `an element of delegates, with "masterPlugin": true`))
	case err != nil:
		c.note(key, Undecided, "%v: add that configuration to delegates, with \"masterPlugin\": true", err)
	default:
		c.setMaster(f.config)
		c.note(key, Converted, "delegates[0], the master delegate, from %s%s", f.path, f.remark)
	}
}

// isNAD says what to do with a name that only the apiserver can resolve.
func (c *conversion) isNAD(name, element string) string {
	return fmt.Sprintf("%.128q is no configuration in %s, and so a NAD, which is in the apiserver. What "+
		"`kubectl -n %s get net-attach-def %.128s -o jsonpath={.spec.config}` prints must be %s",
		name, c.searched(), c.namespace(), name, element)
}

func (c *conversion) searched() string {
	if c.files.Dir != "" {
		return c.files.Dir
	}
	return c.confDir()
}

// inlineDelegates takes the delegates as they are, the first as the master delegate. Multus ignores
// them if there is a clusterNetwork.
func (c *conversion) inlineDelegates(key string) {
	var delegates []map[string]json.RawMessage
	if !c.decode(key, "an array of objects", &delegates) {
		return
	}
	if textOf(c.object["clusterNetwork"]) != "" {
		c.note(key, Dropped, "Multus passes over them, because of clusterNetwork")
		return
	}
	for i, delegate := range delegates {
		if delegate == nil {
			c.note(key, Undecided, "[%d] must be an object", i)
			return
		}
	}
	if len(delegates) == 0 {
		c.note(key, Undecided, "empty: add the default network's configuration, with \"masterPlugin\": true")
		return
	}
	var unnamed []int
	for i, delegate := range delegates {
		if textOf(delegate["name"]) == "" {
			unnamed = append(unnamed, i)
		}
	}
	c.setMaster(delegates[0])
	for i, delegate := range delegates[1:] {
		c.addAuxiliary(delegate, fmt.Sprintf("%s-%d", c.auxiliaryName(), i+1))
	}
	c.noteDelegates(key, delegates, unnamed)
}

func (c *conversion) auxiliaryName() string {
	if name := textOf(c.netconf["name"]); name != "" {
		return name
	}
	return defaultName
}

// addAuxiliary adds a delegate that every Pod gets, under the name if it has none.
func (c *conversion) addAuxiliary(config map[string]json.RawMessage, name string) {
	if textOf(config["name"]) == "" {
		config["name"] = encode(name)
	}
	c.delegates = append(c.delegates, config)
}

func (c *conversion) noteDelegates(key string, delegates []map[string]json.RawMessage, unnamed []int) {
	c.note(key, Converted, "as they are, the first as the master delegate")
	for i, delegate := range delegates[1:] {
		c.noteInterface(key, i+1, textOf(delegate["name"]))
	}
	for _, i := range unnamed {
		c.note(fmt.Sprintf("%s[%d]", key, i), Undecided, "without a name until now: an IPAM plugin that keeps "+
			"addresses by name, such as host-local, does not know those of the Pods that run. Drain the node first")
	}
}

// noteInterface notes that the interface of an auxiliary delegate has another name, and so have, in
// Multus alone, those that come after it.
func (c *conversion) noteInterface(key string, index int, name string) {
	c.note(key, Undecided, "the interface of %s is %s, and not net%d, and a Pod's own networks begin at net1, and not "+
		"after it: see whether Pods rely on that", name, network.DeviceName(name), index)
}

// defaultNetworks makes auxiliary delegates of the networks that every Pod gets.
func (c *conversion) defaultNetworks(key string) {
	var names []string
	if !c.decode(key, "an array of strings", &names) {
		return
	}
	for i, name := range c.defaults() {
		c.defaultNetwork(key, i, name)
	}
	switch {
	case len(names) == 0:
		c.note(key, Dropped, "empty")
	case len(c.defaults()) == 0:
		c.note(key, Dropped, "Multus passes over them without clusterNetwork")
	}
}

// defaults returns the defaultNetworks, which count beside a clusterNetwork alone.
func (c *conversion) defaults() []string {
	if textOf(c.object["clusterNetwork"]) == "" && !c.findsItself() {
		return nil
	}
	var names []string
	_ = json.Unmarshal(c.object["defaultNetworks"], &names)
	return names
}

func (c *conversion) defaultNetwork(key string, i int, name string) {
	element := fmt.Sprintf("%s[%d]", key, i)
	f, err := c.resolve(name)
	switch {
	case errors.Is(err, errNotFound):
		c.note(element, Undecided, "%s", c.isNAD(name, "an element of delegates, with a name for its interface"))
	case err != nil:
		c.note(element, Undecided, "%v: add that configuration to delegates", err)
	default:
		c.addAuxiliary(f.config, fmt.Sprintf("%s-%d", c.auxiliaryName(), i+1))
		c.note(element, Converted, "an element of delegates, from %s%s", f.path, f.remark)
		c.noteInterface(element, i+1, textOf(f.config["name"]))
	}
}

// masterFile takes the file that the daemon is told to make the default network of.
func (c *conversion) masterFile(key string) {
	name := c.text(key)
	if name == "" || !c.findsItself() {
		c.note(key, Dropped, "passed over, because Multus is told its default network otherwise")
		return
	}
	f, err := c.resolve(path.Join(c.autoconfigDir(), name))
	if err != nil {
		c.note(key, Undecided, "%v: add that configuration to delegates, with \"masterPlugin\": true", err)
		return
	}
	c.setMaster(f.config)
	c.note(key, Converted, "delegates[0], the master delegate, from %s%s", f.path, f.remark)
}

// autoconfig takes the default network that the daemon would find: the first in its directory.
func (c *conversion) autoconfig(key string) {
	given := c.object[key] != nil
	switch {
	case given && !c.findsItself():
		c.note(key, Dropped, "passed over, because Multus is told its default network otherwise")
		return
	case !c.findsItself():
		return
	case textOf(c.object["multusMasterCNI"]) != "":
		c.note(key, Converted, "the directory of multusMasterCNI")
		return
	}
	f, err := c.resolve(c.autoconfigDir() + "/")
	if err != nil {
		c.note(key, Undecided, "%v: add that configuration to delegates, with \"masterPlugin\": true", err)
		return
	}
	c.setMaster(f.config)
	c.note(key, Converted, "delegates[0], the master delegate, from %s%s, the first there; without it, kactus install "+
		"finds it and follows it", f.path, f.remark)
}

func (c *conversion) autoconfigDir() string {
	for _, key := range []string{"multusAutoconfigDir", "cniConfigDir"} {
		if dir := textOf(c.object[key]); dir != "" {
			return dir
		}
	}
	return "/etc/cni/net.d"
}

// findsItself reports whether it is the daemon that finds the default network.
func (c *conversion) findsItself() bool {
	file := textOf(c.object["multusConfigFile"])
	told := c.object["clusterNetwork"] != nil || c.object["delegates"] != nil
	return c.daemon && (file == "" || file == "auto") && !told
}

func (c *conversion) configFile(key string) {
	if file := c.text(key); file != "" && file != "auto" {
		c.note(key, Undecided, "the daemon takes Multus's netconf from %s, in its container: convert that one, too, "+
			"and make one of both. Where both have a key, the daemon's counts", file)
		return
	}
	c.note(key, Dropped, "kactus has one netconf for all nodes, from the ConfigMap of its manifests")
}

// auxiliaryChain makes an auxiliary delegate of the plugins that Multus runs as a chain of their
// own: those in a directory of that name.
func (c *conversion) auxiliaryChain(key string) {
	name := c.text(key)
	if name == "" {
		return
	}
	dir := path.Join(c.chainBase(), name)
	plugins, err := c.chained(dir)
	switch {
	case err != nil:
		c.note(key, Undecided, "%v: add a list of that name to delegates, with the plugins of that directory", err)
	case len(plugins) == 0:
		c.note(key, Dropped, "no plugin is in %s, and so Multus runs none", dir)
	default:
		first := map[string]json.RawMessage{"type": json.RawMessage(`"passthru"`)}
		c.addAuxiliary(map[string]json.RawMessage{
			"name": encode(name), "plugins": encode(append([]map[string]json.RawMessage{first}, plugins...)),
		}, name)
		c.note(key, Undecided, "an element of delegates, with the plugins in %s as they are now. Keep the plugin "+
			"passthru, which Multus's image has, on the node. The interface is %s, and not the one after the "+
			"Pod's last", dir, network.DeviceName(name))
	}
}

// chainBase returns the directory of the directories of chains: that of the default network's file.
func (c *conversion) chainBase() string {
	base := c.autoconfigDir()
	if cluster := textOf(c.object["clusterNetwork"]); cluster != "" {
		base = path.Dir(cluster)
	}
	if c.files.Dir != "" {
		return c.files.Dir
	}
	return withoutHost(base)
}
