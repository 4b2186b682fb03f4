package main

import (
	"errors"
	"flag"
	"os"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/agent"
)

// agentFlags are the flags of kactus agent.
type agentFlags struct {
	agent.Options
	node                               *agent.Node
	kubeconfig, serviceAccount, listen string
	awaitNetconf                       time.Duration
	once, dryRun                       bool
}

const agentUsage = `Usage: kactus agent [OPTION...]

Adds networks to, and removes them from, the running Pods of this node, when their annotation
"networks" changes. It runs in the mount namespace of the node's first process, which it enters by
itself, and there executes the kactus that is installed on the node.

`

func (c cli) parseAgent(args []string) (agentFlags, error) {
	f := agentFlags{node: &agent.Node{}}
	set := flag.NewFlagSet("agent", flag.ContinueOnError)
	set.StringVar(&f.Node, "node", c.nodeName(),
		"the `name` of the Node whose Pods to follow (default: $NODE_NAME, else the host name)")
	set.StringVar(&f.kubeconfig, "kubeconfig", "",
		"a kubeconfig on the node, a `file` (default: none, the service account of the agent's own Pod)")
	set.StringVar(&f.serviceAccount, "service-account", "/var/run/secrets/kubernetes.io/serviceaccount",
		"the `directory` of the service account's token and ca.crt, in the agent's own container")
	set.StringVar(&f.node.ConfDir, "conf-dir", "/etc/cni/net.d",
		"the node's `directory` of CNI configurations, of which one is kactus's netconf")
	set.StringVar(&f.node.BinDirs, "bin-dir", "/opt/cni/bin",
		"the node's `directories` of CNI plugins, separated by colons; one has kactus")
	set.DurationVar(&f.awaitNetconf, "await-netconf", 0,
		"how long to wait at start for kactus's netconf, which an installer may not have written yet")
	set.BoolVar(&f.Repair, "repair", true,
		"attach anew what has lost its interface, and tear down what ended containers left; otherwise only report it")
	set.DurationVar(&f.RepairEvery, "repair-every", 5*time.Minute,
		"how often to look for such interfaces and containers")
	set.StringVar(&f.listen, "listen", "127.0.0.1:9618",
		"the `address` that serves /healthz, /readyz, /livez and /metrics; empty: none")
	set.BoolVar(&f.once, "once", false, "attach and detach once, and exit, with 1 if something is left to do")
	set.BoolVar(&f.dryRun, "dry-run", false, "print what would be attached and detached, and exit")
	err := c.parseOptions(set, agentUsage, args)
	switch {
	case err != nil:
		return f, err
	case f.RepairEvery <= 0:
		return f, errors.New("-repair-every: must be positive")
	case f.Node == "":
		return f, errors.New("-node: required, because NODE_NAME is not set")
	}
	return f, nil
}

func (c cli) nodeName() string {
	if name := c.getenv("NODE_NAME"); name != "" {
		return name
	}
	name, _ := os.Hostname()
	return name
}
