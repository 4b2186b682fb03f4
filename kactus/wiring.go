package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cnilog"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/device"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/meta"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// The environment's names for the log, which win over the netconf's and reach the delegates.
const (
	envLogLevel = "_CNI_LOGGING_LEVEL"
	envLogFile  = "_CNI_LOGGING_FILE"
)

func (p program) log(conf netconf.Conf) (*slog.Logger, func()) {
	level, file := netconf.LevelError, conf.LogFile
	if conf.LogLevel != nil {
		level = *conf.LogLevel
	}
	if l, err := netconf.ParseLevel(p.getenv(envLogLevel)); err == nil {
		level = l
	}
	if f := p.getenv(envLogFile); f != "" {
		file = f
	}
	return cnilog.Open(level, file, p.stderr)
}

// verbs puts the real collaborators together; path is the folders of plugins, as CNI_PATH has them.
func (p program) verbs(conf netconf.Conf, path string, log *slog.Logger) (*meta.Verbs, error) {
	records, err := ledger.Open(conf.CNIDir)
	if err != nil {
		return nil, err
	}
	runner := delegate.Runner{
		Path:    filepath.SplitList(path),
		Env:     p.delegateEnv(),
		Timeout: conf.DelegateTimeout,
		Room:    &delegate.Room{},
	}
	return &meta.Verbs{
		API: func() (meta.API, error) { return kube.New(conf.Kubeconfig, "kactus/"+version) },
		Lock: func(ctx context.Context, containerID string) (meta.Book, error) {
			return records.Lock(ctx, containerID)
		},
		Read:   records.Read,
		Freeze: records.Freeze,
		Probe:  records.Probe,
		Delegates: func(lock *os.File) meta.Delegates {
			r := runner
			r.Inherit = lock
			return r
		},
		Devices:  func(netns string) (meta.Devices, error) { return device.Open(netns) },
		Parallel: conf.ParallelDelegates,
		Log:      log,
		Now:      time.Now,
	}, nil
}

// delegateEnv is what delegates get of the environment, beside the CNI variables.
func (p program) delegateEnv() []string {
	var env []string
	for _, name := range []string{"PATH", envLogLevel, envLogFile} {
		if value := p.getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
