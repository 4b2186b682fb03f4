package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// peer returns another meta-plugin as a subject, after its hook has created its resources in the
// apiserver.
func (l *lab) peer(ctx context.Context, p peer) (*metaPlugin, error) {
	h := &hook{lab: l, script: p.hook, dir: filepath.Join(l.dir, "peers", p.name)}
	if err := h.writeConfigs(); err != nil {
		return nil, err
	}
	netconf, err := l.peerNetconf(p.netconf, h.dir)
	if err != nil {
		return nil, err
	}
	m := &metaPlugin{title: p.name, binary: p.binary, netconf: netconf, hotArgs: kactusHotArgs(hotName)}
	if p.hook == "" {
		return m, nil
	}
	if _, err := h.run(ctx, "setup", networkNames(maxNetworks+1)); err != nil {
		return nil, err
	}
	hotArgs, err := h.run(ctx, "hot", []string{hotName})
	m.hotArgs = strings.TrimSpace(string(hotArgs))
	m.annotate = h.annotations
	return m, err
}

// peerNetconf reads a netconf and expands its variables.
func (l *lab) peerNetconf(path, dir string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	facts := map[string]string{"KUBECONFIG": l.kubeconfig, "DIR": dir,
		"MASTER": string(mustJSON(master())), "IPAM": string(mustJSON(master()["ipam"]))}
	var unknown error
	netconf := os.Expand(string(text), func(name string) string {
		fact, ok := facts[name]
		if !ok {
			unknown = fmt.Errorf("reading %s: unknown variable ${%s}; "+
				"known are ${KUBECONFIG}, ${DIR}, ${MASTER} and ${IPAM}", path, name)
		}
		return fact
	})
	if unknown == nil && !json.Valid([]byte(netconf)) {
		unknown = fmt.Errorf("reading %s: not JSON", path)
	}
	return []byte(netconf), unknown
}

// A hook is a script that creates a peer's resources and prints its Pods' annotations. It is called
// with one argument and these environment variables: KUBECONFIG and KUBECTL, for the administrator;
// NAMESPACE; NETWORKS, names separated by spaces; CONFIGS, a directory with each network's delegate
// configuration as NAME.json; DIR, a directory for the peer.
//
//	setup         creates the resources for NETWORKS, which are all networks
//	annotations   prints the annotations of the Pod POD with NETWORKS, as a JSON object
//	hot           prints the CNI_ARGS of a hot operation of the one network in NETWORKS;
//	              nothing if the peer has no hot operations
type hook struct {
	lab         *lab
	script, dir string
}

func (h *hook) configs() string { return filepath.Join(h.dir, "configs") }

func (h *hook) writeConfigs() error {
	if err := os.MkdirAll(h.configs(), 0o755); err != nil {
		return err
	}
	for i := range maxNetworks + 1 {
		if err := os.WriteFile(filepath.Join(h.configs(), networkName(i)+".json"), auxiliary(i), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (h *hook) annotations(ctx context.Context, pod string, networks []string) (map[string]string, error) {
	out, err := h.run(ctx, "annotations", networks, "POD="+pod)
	if err != nil {
		return nil, err
	}
	annotations := map[string]string{}
	if err := json.Unmarshal(out, &annotations); err != nil {
		return nil, fmt.Errorf("reading the output of %s annotations, %q: %w", h.script, out, err)
	}
	return annotations, nil
}

func (h *hook) run(ctx context.Context, action string, networks []string, env ...string) ([]byte, error) {
	kubectl := h.lab.cp.Kubectl(ctx) // for its environment
	cmd := exec.CommandContext(ctx, h.script, action)
	cmd.Env = append(kubectl.Env, "KUBECTL="+kubectl.Path, "NAMESPACE="+namespace,
		"NETWORKS="+strings.Join(networks, " "), "CONFIGS="+h.configs(), "DIR="+h.dir)
	cmd.Env = append(cmd.Env, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running %s %s: %w\n%s%s", h.script, action, err, out, stderr.Bytes())
	}
	return out, nil
}
