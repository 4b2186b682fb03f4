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

// peer is another meta-plugin, with its resources in the apiserver.
func (b *bed) peer(ctx context.Context, p peer) (*metaPlugin, error) {
	h := &hook{bed: b, script: p.hook, dir: filepath.Join(b.dir, "peers", p.name)}
	if err := h.writeConfigs(); err != nil {
		return nil, err
	}
	netconf, err := b.peerNetconf(p.netconf, h.dir)
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

// peerNetconf reads a netconf, and puts this run's facts in.
func (b *bed) peerNetconf(path, dir string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	facts := map[string]string{"KUBECONFIG": b.kubeconfig, "DIR": dir, "MASTER": string(mustJSON(master()))}
	var unknown error
	netconf := os.Expand(string(text), func(name string) string {
		fact, ok := facts[name]
		if !ok {
			unknown = fmt.Errorf("%s: ${%s} is none of ${KUBECONFIG}, ${DIR} and ${MASTER}", path, name)
		}
		return fact
	})
	if unknown == nil && !json.Valid([]byte(netconf)) {
		unknown = fmt.Errorf("%s is not JSON", path)
	}
	return []byte(netconf), unknown
}

// hook is the script by which a peer gets its resources and its Pods' annotations. It is called with one argument, and in the environment: KUBECONFIG and KUBECTL,
// of the administrator; NAMESPACE; NETWORKS, names with spaces between; CONFIGS, a folder with the delegate's configuration of each network, NAME.json; DIR, a folder of the
// peer's own.
//
//	setup         makes what the apiserver is to have of NETWORKS, all that there are
//	annotations   prints the annotations, a JSON object, of a Pod, POD, that is to have NETWORKS
//	hot           prints what CNI_ARGS says in a hot verb of NETWORKS, which is one; nothing where the peer has no hot verbs
type hook struct {
	bed         *bed
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
		return nil, fmt.Errorf("%s annotations prints %q: %w", h.script, out, err)
	}
	return annotations, nil
}

func (h *hook) run(ctx context.Context, action string, networks []string, env ...string) ([]byte, error) {
	kubectl := h.bed.cp.Kubectl(ctx) // for its environment
	cmd := exec.CommandContext(ctx, h.script, action)
	cmd.Env = append(kubectl.Env, "KUBECTL="+kubectl.Path, "NAMESPACE="+namespace, "NETWORKS="+strings.Join(networks, " "), "CONFIGS="+h.configs(), "DIR="+h.dir)
	cmd.Env = append(cmd.Env, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s%s", h.script, action, err, out, stderr.Bytes())
	}
	return out, nil
}
