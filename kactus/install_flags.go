package main

import (
	"errors"
	"flag"
	"net"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/install"
)

// installFlags are the flags of kactus install.
type installFlags struct {
	install.Options
	endpoints
	probe                   string
	every                   time.Duration
	once, uninstall, dryRun bool
}

const installUsage = `Usage: kactus install [OPTION...]

Installs kactus on a node, and keeps running to renew the node's token, and to update the netconf
when the ConfigMap or the default network changes.

`

func (c cli) parseInstall(args []string) (installFlags, error) {
	var f installFlags
	set := flag.NewFlagSet("install", flag.ContinueOnError)
	set.StringVar(&f.Binary, "binary", "/proc/self/exe", "the kactus binary to install, a `file`")
	set.StringVar(&f.BinDir, "bin-dir", "/opt/cni/bin", "the node's `directory` of CNI plugins")
	set.StringVar(&f.ConfDir, "conf-dir", "/etc/cni/net.d", "the node's `directory` of CNI configurations")
	set.StringVar(&f.Netconf, "netconf", "/etc/kactus/00-kactus.conf",
		"the netconf to install, a `file`: a .conf, or a .conflist with kactus as one of its plugins")
	set.StringVar(&f.DefaultNetwork, "default-network", "",
		"the default network of a netconf without a master delegate: auto, the first of -conf-dir; the `name` of a "+
			"network there; or a file (default: what the file default-network beside -netconf says, else auto)")
	set.StringVar(&f.Agent.Dir, "agent-netconf-dir", "", "a `directory` for a netconf of node agents that call kactus "+
		"through libcni, such as /etc/cni/agent.d (default: none)")
	set.StringVar(&f.Agent.Name, "agent-netconf-name", "",
		"the `name` in the agents' netconf (default: that of the node's netconf, followed by -agent)")
	set.StringVar(&f.Agent.CNIVersion, "agent-cni-version", "0.4.0",
		"the cniVersion in the agents' netconf, a `version` that their libcni supports")
	set.StringVar(&f.ServiceAccount, "service-account", "/var/run/secrets/kubernetes.io/serviceaccount",
		"the `directory` of the service account's token and ca.crt")
	set.StringVar(&f.Server, "server", c.inClusterServer(),
		"the apiserver's `URL`, as the node reaches it (default: as Pods of the cluster reach it)")
	set.StringVar(&f.Node, "node", c.getenv("NODE_NAME"),
		"the `name` of the Node that the node's token is bound to (default: $NODE_NAME; empty: none)")
	set.StringVar(&f.address, "health", "127.0.0.1:9617",
		"the `address` that serves /healthz, which reports whether kactus is installed, and /livez; empty: none")
	set.StringVar(&f.socket, "socket", "/run/kactus-install/health.sock",
		"the unix `socket` that serves the same to -probe, in the installer's own container; empty: none")
	set.StringVar(&f.probe, "probe", "",
		"ask the installer of the same container whether it is `ready` (kactus is installed) or live, and exit")
	set.DurationVar(&f.every, "every", 2*time.Second, "how often to check the node, the netconf and the token")
	f.UserAgent = "kactus/" + version
	set.BoolVar(&f.once, "once", false, "install and exit")
	set.BoolVar(&f.uninstall, "uninstall", false, "remove what was installed, and exit")
	set.BoolVar(&f.dryRun, "dry-run", false, "print what would be done, and exit")
	err := c.parseOptions(set, installUsage, args)
	switch {
	case err != nil:
		return f, err
	case f.probe != "" && f.probe != "ready" && f.probe != "live":
		return f, errors.New("-probe: must be ready or live")
	case f.Server == "" && !f.uninstall && f.probe == "":
		return f, errors.New("-server: required, because KUBERNETES_SERVICE_HOST is not set")
	case f.every <= 0:
		return f, errors.New("-every: must be positive")
	}
	return f, f.Check()
}

// inClusterServer returns the apiserver's URL from the environment that every Pod has, or "".
func (c cli) inClusterServer() string {
	host, port := c.getenv("KUBERNETES_SERVICE_HOST"), c.getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return ""
	}
	return "https://" + net.JoinHostPort(host, port)
}
