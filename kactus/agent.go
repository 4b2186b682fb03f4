package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/agent"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// agent runs kactus agent.
func (c cli) agent(ctx context.Context, args []string) int {
	f, err := c.parseAgent(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return c.usageError("agent: %v", err)
	}
	if err := c.runAgent(ctx, f); err != nil {
		return c.failed("agent", err)
	}
	return 0
}

func (c cli) runAgent(ctx context.Context, f agentFlags) error {
	log := slog.New(slog.NewTextHandler(c.stderr, nil))
	klog.SetSlogLogger(log.With("from", "client-go"))
	files, err := agent.EnterHost(f.open)
	if errors.Is(err, fs.ErrPermission) && c.inClusterServer() == "" { // not in a Pod, but on the node
		log.Warn("the agent stays in the mount namespace in which it was started", "cause", err)
		files, err = f.open()
	}
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(files)
	a, conf, err := f.newAgent(ctx, files, log)
	if err != nil {
		return err
	}
	client := a.API.(*kube.Client)
	pods, err := client.WatchPods(f.Node, a.Changed, a.PodsFollowed)
	if err != nil {
		return err
	}
	a.Pods = pods
	a.Init()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.once || f.dryRun {
		return c.agentOnce(ctx, f, a, pods)
	}
	log.Info("started", "version", version, "node", f.Node, "netconf", conf.Path, "ledger", conf.Conf.CNIDir)
	go pods.Run(ctx)
	go c.serve(ctx, endpoints{address: f.listen}, agentHandler(a, pods))
	a.Run(ctx)
	log.Info("stopped; what is attached stays attached")
	return nil
}

// accountDir is the directory of the service account among the files that the agent takes with it
// from its own container.
const accountDir = "service account"

// open opens what the agent needs of its own container, before it enters the node's mount
// namespace.
func (f agentFlags) open() (map[string]*os.File, error) {
	if f.kubeconfig != "" {
		return nil, nil
	}
	fd, err := unix.Open(f.serviceAccount, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the service account's directory %s: %w; outside of a Pod, set -kubeconfig",
			f.serviceAccount, err)
	}
	return map[string]*os.File{accountDir: os.NewFile(uintptr(fd), f.serviceAccount)}, nil
}

// newAgent returns an agent that has everything but the Pods, and the netconf of the node.
func (f agentFlags) newAgent(
	ctx context.Context, files map[string]*os.File, log *slog.Logger,
) (*agent.Agent, agent.Netconf, error) {
	conf, err := awaitNetconf(ctx, f)
	if err != nil {
		return nil, conf, err
	}
	if _, err := f.node.Binary(); err != nil {
		return nil, conf, fmt.Errorf("%w: install kactus first, or set -bin-dir", err)
	}
	store, err := ledger.Open(conf.Conf.CNIDir, conf.Conf.LockDir)
	if err != nil {
		return nil, conf, err
	}
	client, err := f.client(files)
	return &agent.Agent{
		Options: f.Options, API: client, Ledger: store, Kernel: f.node, Kactus: f.node, Metrics: agent.NewMetrics(),
		Log: log,
	}, conf, err
}

func (f agentFlags) client(files map[string]*os.File) (*kube.Client, error) {
	userAgent := "kactus-agent/" + version
	if account := files[accountDir]; account != nil {
		return kube.InCluster(agent.PathOf(account), userAgent)
	}
	return kube.New(f.kubeconfig, userAgent)
}

// awaitNetconf returns the node's netconf, for which it waits as long as the flags say.
func awaitNetconf(ctx context.Context, f agentFlags) (agent.Netconf, error) {
	const pause = 500 * time.Millisecond
	deadline := time.Now().Add(f.awaitNetconf)
	for {
		conf, err := f.node.Netconf()
		missing := errors.Is(err, agent.ErrNoNetconf) || errors.Is(err, fs.ErrNotExist)
		if err == nil || !missing || !time.Now().Before(deadline) {
			if missing {
				err = fmt.Errorf("%w: install kactus first, or set -conf-dir; in a Pod, hostPID must be true", err)
			}
			return conf, err
		}
		select {
		case <-ctx.Done():
			return conf, err
		case <-time.After(pause):
		}
	}
}

// agentOnce does, or prints, what there is to do at this moment.
func (c cli) agentOnce(ctx context.Context, f agentFlags, a *agent.Agent, pods *kube.PodWatch) error {
	const limit = 30 * time.Second
	go pods.Run(ctx)
	for deadline := time.Now().Add(limit); !pods.Synced(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("the Pods of the node %s are not known after %s: %w", f.Node, limit, a.Health())
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if !f.dryRun {
		return a.Once(ctx)
	}
	lines := a.Plan()
	for _, line := range lines {
		fmt.Fprintln(c.stdout, line)
	}
	if len(lines) == 0 {
		fmt.Fprintln(c.stdout, "nothing to do")
	}
	return nil
}

// agentHandler answers what people, probes and Prometheus ask.
func agentHandler(a *agent.Agent, pods *kube.PodWatch) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		h := &health{}
		h.set("following the Pods of the node "+a.Node, a.Health())
		h.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		h := &health{}
		err := a.Health()
		if err == nil && !pods.Synced() {
			err = errors.New("the node's Pods are not known yet")
		}
		h.set("ready", err)
		h.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		a.Metrics.Write(w)
	})
	return mux
}
