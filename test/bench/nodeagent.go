package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A nodeAgent is a running kactus agent.
type nodeAgent struct {
	cmd    *exec.Cmd
	began  time.Time
	log    string
	client *http.Client
	exited chan error
}

// agentAddress is where the agent serves its metrics. There is one agent at a time on the node.
const agentAddress = "127.0.0.1:9618"

// agentConfDir makes a directory of CNI configurations that has the netconf of s.
func (l *lab) agentConfDir(s *metaPlugin, node string) (string, error) {
	dir := filepath.Join(l.dir, "net.d", node)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "00-kactus.conf"), s.netconf, 0o600)
}

// startAgent starts the agent of a node whose netconf is that of s.
func (l *lab) startAgent(s *metaPlugin, node string, args ...string) (*nodeAgent, error) {
	confDir, err := l.agentConfDir(s, node)
	if err != nil {
		return nil, err
	}
	a := &nodeAgent{
		log:    filepath.Join(l.dir, node+".log"),
		client: &http.Client{Transport: &http.Transport{}},
		exited: make(chan error, 1),
	}
	log, err := os.OpenFile(a.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	a.cmd = exec.Command(s.binary, append([]string{
		"agent", "-node", node, "-kubeconfig", l.kubeconfig, "-conf-dir", confDir,
		"-bin-dir", filepath.Join(l.dir, dirPlugins) + ":" + filepath.Dir(s.binary), "-listen", agentAddress,
	}, args...)...)
	a.cmd.Stdout, a.cmd.Stderr = log, log
	a.began = time.Now()
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting kactus agent: %w", err)
	}
	go func() { a.exited <- a.cmd.Wait() }()
	return a, nil
}

// stop ends the agent. The error quotes the end of its log if it did not end well.
func (a *nodeAgent) stop() error {
	a.client.CloseIdleConnections()
	err := a.cmd.Process.Signal(syscall.SIGTERM)
	if exit := <-a.exited; exit != nil || err != nil {
		return a.explain(errors.Join(err, exit))
	}
	return nil
}

func (a *nodeAgent) explain(err error) error {
	const most = 2 << 10
	log, _ := os.ReadFile(a.log)
	return fmt.Errorf("%w; the log of kactus agent ends with:\n%s", err, log[max(0, len(log)-most):])
}

// awaitCompared waits until the agent has compared so many Pods that ask for networks, and has set
// their conditions, as its metrics tell.
func (a *nodeAgent) awaitCompared(ctx context.Context, pods int) error {
	const limit, pause = 2 * time.Minute, 10 * time.Millisecond
	compared, err := 0, error(nil)
	for begin := time.Now(); ctx.Err() == nil && time.Since(begin) < limit; time.Sleep(pause) {
		if compared, err = a.metric(ctx, "kactus_agent_pods"); err == nil && compared == pods {
			return nil
		}
	}
	return a.explain(fmt.Errorf("waiting for the agent to compare %d Pods, of which %d are: %w", pods, compared,
		errors.Join(errNoEnd, err, ctx.Err())))
}

// metric returns a metric of the agent.
func (a *nodeAgent) metric(ctx context.Context, name string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+agentAddress+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			return strconv.Atoi(value)
		}
	}
	return 0, fmt.Errorf("the agent has no metric %s", name)
}
