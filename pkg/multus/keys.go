package multus

import "strings"

// Key is a key of Multus's configuration.
type Key struct {
	Name string
	// Becomes are the keys of kactus's netconf that it becomes; empty for none.
	Becomes string
	// convert converts a key that is there, absent one that is not, if Multus's default matters.
	convert, absent func(c *conversion, key string)
}

// Keys returns the keys of Multus's netconf, and of its daemon's configuration, in the order in
// which Convert notes them.
func Keys() []Key {
	return []Key{
		{"type", "type", (*conversion).setType, (*conversion).setType},
		{"cniVersion", "cniVersion", keep(""), nil},
		{"name", "name", (*conversion).name, (*conversion).name},
		{"clusterNetwork", "delegates", (*conversion).clusterNetwork, nil},
		{"delegates", "delegates", (*conversion).inlineDelegates, nil},
		{"multusMasterCNI", "delegates", (*conversion).masterFile, nil},
		{"multusAutoconfigDir", "delegates", (*conversion).autoconfig, (*conversion).autoconfig},
		{"multusConfigFile", "", (*conversion).configFile, nil},
		{"defaultNetworks", "delegates", (*conversion).defaultNetworks, nil},
		{"auxiliaryCNIChainName", "delegates", (*conversion).auxiliaryChain, nil},
		{"systemNamespaces", "", (*conversion).systemNamespaces, (*conversion).systemNamespaces},
		{"multusNamespace", "multusNamespace", keep("the default is the same, too"), nil},
		{"namespaceIsolation", "namespaceIsolation", keep(""), nil},
		{"globalNamespaces", "globalNamespaces, networkNamespace", (*conversion).globalNamespaces, nil},
		{"kubeconfig", "kubeconfig", (*conversion).kubeconfig, (*conversion).kubeconfig},
		{"confDir", "confDir", (*conversion).setConfDir, (*conversion).setConfDir},
		{"cniDir", "multusDir", (*conversion).cniDir, (*conversion).cniDir},
		{"binDir", "", (*conversion).binDir, nil},
		{"readinessindicatorfile", "", drop("an ADD before the default network is ready fails, leaves nothing, " +
			"and is tried again by the runtime"), nil},
		{"capabilities", "capabilities", (*conversion).capabilities, (*conversion).capabilities},
		{"runtimeConfig", "runtimeConfig", keep("runtimes set it for each operation"), nil},
		{"prevResult", "", drop("runtimes set it for each operation"), nil},
		{"logLevel", "logLevel", (*conversion).logLevel, nil},
		{"logFile", "logFile", (*conversion).logFile, nil},
		{"logToStderr", "", drop("kactus logs to its stderr if there is no logFile, and else to that alone"), nil},
		{"logOptions", "", (*conversion).logOptions, nil},
		{"retryDeleteOnError", "", drop(keepsRecords), nil},
		{"allowTryDeleteOnErr", "", drop(keepsRecords), nil},
		{"dns", "dns", keep("kactus does not use it"), nil},
		{"ipam", "ipam", keep("kactus does not use it"), nil},
		{"args", "args", keep("kactus does not use it"), nil},
		{"ipMasq", "ipMasq", keep("kactus does not use it"), nil},
		{"disableCheck", "disableCheck", keep(""), nil},
		{"disableGC", "disableGC", keep(""), nil},
		{"cniConf", "", drop("Multus passes over it: its key is confDir"), nil},
		{"cniConfigDir", "", drop("where the daemon writes Multus's netconf; `kactus install` writes to " +
			"/etc/cni/net.d (-h: its options)"), nil},
		{"chrootDir", "", drop("kactus and its delegates run in the node's mount namespace"), nil},
		{"socketDir", "", drop("kactus has no daemon in the path of an operation"), nil},
		{"daemonSocketDir", "", drop("kactus has no daemon in the path of an operation"), nil},
		{"connectionLimit", "", drop("kactus has no daemon; parallelDelegates limits how many delegates of a Pod " +
			"run at once"), nil},
		{"metricsPort", "", drop("`kactus agent` has /metrics on 127.0.0.1:9618 (-listen), with other metrics"), nil},
		{"enablePprof", "", drop("kactus has no daemon in the path of an operation"), nil},
		{"perNodeCertificate", "", drop("`kactus install` gets each node a token of its own"), nil},
		{"forceCNIVersion", "", (*conversion).forceCNIVersion, nil},
		{"overrideNetworkName", "name", (*conversion).overrideName, nil},
	}
}

const keepsRecords = "what a DEL could not tear down stays on record, for the next DEL"

// keep returns what converts a key that means the same to kactus.
func keep(remark string) func(c *conversion, key string) {
	return func(c *conversion, key string) {
		c.netconf[key] = c.object[key]
		c.note(key, Converted, "%s", strings.TrimSuffix("as it is; "+remark, "; "))
	}
}

// drop returns what drops a key that kactus does without.
func drop(why string) func(c *conversion, key string) {
	return func(c *conversion, key string) { c.note(key, Dropped, "%s", why) }
}
