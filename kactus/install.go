package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/install"
)

// installFlags are those of kactus install.
type installFlags struct {
	install.Options
	health                  string
	every                   time.Duration
	once, uninstall, dryRun bool
}

func (p program) parseInstall(args []string) (installFlags, error) {
	var f installFlags
	set := flag.NewFlagSet("install", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.Binary, "binary", "/proc/self/exe", "the program to install")
	set.StringVar(&f.BinDir, "bin-dir", "/opt/cni/bin", "the node's `folder` of CNI plugins")
	set.StringVar(&f.ConfDir, "conf-dir", "/etc/cni/net.d", "the node's `folder` of CNI configurations")
	set.StringVar(&f.Netconf, "netconf", "/etc/kactus/05-kactus.conf", "the netconf to install, a `file`")
	set.StringVar(&f.ServiceAccount, "service-account", "/var/run/secrets/kubernetes.io/serviceaccount", "the `folder` of the service account's token and ca.crt")
	set.StringVar(&f.Server, "server", p.inClusterServer(), "the apiserver's `URL`, as the node reaches it (default: the one of the cluster's Pods)")
	set.StringVar(&f.health, "health", "127.0.0.1:9617", "the `address` on which /healthz says whether all is installed, and /livez that kactus runs; empty: none")
	set.DurationVar(&f.every, "every", 2*time.Second, "how often to look for a new netconf or token")
	set.BoolVar(&f.once, "once", false, "install and exit")
	set.BoolVar(&f.uninstall, "uninstall", false, "remove what was installed, and exit")
	set.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and exit")
	err := set.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.stdout, "Usage: kactus install [OPTION...]\n\nInstalls kactus on a node, and stays to renew the kubeconfig when the token does, and the netconf when it changes.\n\n")
		set.SetOutput(p.stdout)
		set.PrintDefaults()
		return f, err
	case err != nil:
		return f, err
	case set.NArg() > 0:
		return f, fmt.Errorf("install takes options only, not %q", set.Arg(0))
	case f.Server == "" && !f.uninstall:
		return f, errors.New("there is no KUBERNETES_SERVICE_HOST in the environment: -server must say where the apiserver is")
	case f.every <= 0:
		return f, errors.New("-every must be above zero")
	}
	return f, nil
}

func (p program) inClusterServer() string {
	host, port := p.getenv("KUBERNETES_SERVICE_HOST"), p.getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return ""
	}
	return "https://" + net.JoinHostPort(host, port)
}

func (p program) install(ctx context.Context, args []string) int {
	f, err := p.parseInstall(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return p.usage("install: %v", err)
	}
	i := &install.Installer{Options: f.Options}
	switch {
	case f.dryRun && f.uninstall:
		return p.report("would ", i.PlanUninstall(), nil)
	case f.dryRun:
		changes, err := i.Plan()
		return p.report("would ", changes, err)
	case f.uninstall:
		changes, err := i.Uninstall()
		return p.report("", changes, err)
	case f.once:
		changes, err := i.Install()
		return p.report("", changes, err)
	}
	return p.keepInstalled(ctx, i, f)
}

func (p program) report(prefix string, changes []install.Change, err error) int {
	for _, c := range changes {
		fmt.Fprintf(p.stdout, "%s%s\n", prefix, c.What)
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "kactus: install: %v\n", err)
		return 1
	}
	if len(changes) == 0 {
		fmt.Fprintln(p.stdout, "nothing to do")
	}
	return 0
}

// health is what the probe is told: why the last try did not install all, or nothing.
type health struct {
	mu  sync.Mutex
	err error
}

func (h *health) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

// ServeHTTP answers 200 where all is installed, and 503 with the cause where not.
func (h *health) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	err := h.err
	h.mu.Unlock()
	status, said := http.StatusOK, "installed"
	if err != nil {
		status, said = http.StatusServiceUnavailable, err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": said})
}

// serveHealth serves until ctx ends. An update starts the new installer before the old one ends, so the address may be taken for a while.
func (p program) serveHealth(ctx context.Context, f installFlags, h *health) {
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	listener, err := net.Listen("tcp", f.health)
	for said := false; err != nil; listener, err = net.Listen("tcp", f.health) {
		if !said {
			p.say(fmt.Sprintf("nobody can ask for the health yet, trying again: %v", err))
			said = true
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", h)
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	_ = server.Serve(listener)
}

// keepInstalled installs again and again, until ctx ends: the node works on without it then, until the token expires.
func (p program) keepInstalled(ctx context.Context, i *install.Installer, f installFlags) int {
	turn, err := i.Turn()
	if err != nil {
		fmt.Fprintf(p.stderr, "kactus: install: %v\n", err)
		return 1
	}
	defer turn.End()
	h := &health{err: errors.New("not installed yet")}
	if f.health != "" {
		go p.serveHealth(ctx, f, h)
	}
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	last := ""
	for {
		state, err := p.installInTurn(i, turn)
		h.set(err)
		if state != last {
			p.say(state)
			last = state
		}
		select {
		case <-ctx.Done():
			p.say("told to end; the node keeps what is installed")
			return 0
		case <-ticker.C:
		}
	}
}

// installInTurn installs if it is this installer's turn, and says how things are then.
func (p program) installInTurn(i *install.Installer, turn *install.Turn) (state string, err error) {
	mine, err := turn.Mine()
	if err == nil && !mine {
		return "another installer, which came later, keeps the node right; waiting for it to end", nil
	}
	if err == nil {
		var changes []install.Change
		changes, err = i.Install()
		for _, c := range changes {
			p.say(c.What)
		}
	}
	if err != nil {
		return "not all is installed: " + err.Error(), err
	}
	return "all is installed", nil
}

// say writes a line of the container's log.
func (p program) say(what string) {
	fmt.Fprintf(p.stdout, "%s %s\n", time.Now().UTC().Format(time.RFC3339), what)
}
