package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/budget"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cnilog"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/confdir"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/deviceinfo"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/metaplugin"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podresources"
)

// The environment variables for the log. They override the netconf, and are passed on to delegates.
const (
	envLogLevel = "_CNI_LOGGING_LEVEL"
	envLogFile  = "_CNI_LOGGING_FILE"
)

func (c cli) openLog(conf netconf.Conf) (*slog.Logger, func()) {
	level, file := netconf.LevelError, conf.LogFile
	if conf.LogLevel != nil {
		level = *conf.LogLevel
	}
	if l, err := netconf.ParseLevel(c.getenv(envLogLevel)); err == nil {
		level = l
	}
	if f := c.getenv(envLogFile); f != "" {
		file = f
	}
	return cnilog.Open(level, file, c.stderr)
}

// newPlugin returns the plugin on its real collaborators, as the request configures them.
func (c cli) newPlugin(req metaplugin.Request, log *slog.Logger) *metaplugin.Plugin {
	for _, warning := range req.Warnings {
		log.Warn("not valid; the DEL goes on with what is", "cause", warning)
	}
	conf := req.Conf
	runner := delegate.Runner{
		Plugins: delegate.NewPlugins(req.PluginDirs),
		Env:     c.delegateEnv(),
		Timeout: conf.DelegateTimeout,
		Output:  budget.New(delegate.MaxOutput),
	}
	return &metaplugin.Plugin{
		API:        func() (metaplugin.API, error) { return kube.New(conf.Kubeconfig, "kactus/"+version) },
		Kubelet:    podresources.New(conf.PodResourcesSocket),
		DeviceInfo: deviceinfo.DefaultDir,
		Store:      metaplugin.LedgerStore(conf.CNIDir, conf.LockDir, conf.MultusDir),
		Marks:      metaplugin.NewMarks(conf.CNIDir, conf.LockDir),
		Delegates: func(lock *os.File) metaplugin.Delegates {
			r := runner
			r.Inherit = lock
			return r
		},
		OpenNetns:       func(path string) (metaplugin.Netns, error) { return netns.Open(path) },
		Parallel:        conf.ParallelDelegates,
		ParallelPlugins: conf.ParallelPlugins,
		NPWGParallel:    conf.NPWGParallel,
		FindConfig:      confdir.Find,
		Log:             log,
		Now:             time.Now,
	}
}

// delegateEnv returns what the environment of delegates has in addition to the CNI variables.
func (c cli) delegateEnv() []string {
	var env []string
	for _, name := range []string{"PATH", envLogLevel, envLogFile} {
		if value := c.getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
