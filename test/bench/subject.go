package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// An operation is a CNI operation as the benchmark runs it.
type operation string

const (
	add    operation = "ADD"
	del    operation = "DEL"
	hotAdd operation = "hot ADD"
	hotDel operation = "hot DEL"
)

// cni returns the value of CNI_COMMAND.
func (op operation) cni() string { return strings.TrimPrefix(string(op), "hot ") }

func (op operation) hot() bool { return op != operation(op.cni()) }

// A subject is what a container runtime could run: a meta-plugin, or the delegates alone.
type subject interface {
	name() string
	// do runs an operation on a Pod.
	do(r runner, op operation, p *pod) error
}

const (
	nameAlone  = "delegates alone"
	nameKactus = "kactus"
	// These two have Pods with the NPWG annotation.
	nameNPWG         = "kactus-npwg"
	nameNPWGParallel = "kactus-npwg-parallel"
)

// alone runs the delegates as a meta-plugin would: each with its network's configuration, and at a
// DEL with the result of the ADD. The default network comes first at an ADD and last at a DEL.
type alone struct {
	lab *lab
	// parallel is the number of the other networks' delegates that run at once.
	parallel int
}

func (a alone) name() string {
	if a.parallel == 1 {
		return nameAlone
	}
	return fmt.Sprintf("%s, %d at once", nameAlone, a.parallel)
}

func (a alone) do(r runner, op operation, p *pod) error {
	ifNames := []string{p.hotIfName()}
	if !op.hot() {
		ifNames = p.ifNames()
	}
	steps := [][]string{ifNames[:1], ifNames[1:]}
	if op.cni() == "DEL" {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		var group errgroup.Group
		group.SetLimit(a.parallel)
		for _, ifName := range step {
			group.Go(func() error { return a.run(r, op, p, ifName) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (a alone) run(r runner, op operation, p *pod, ifName string) error {
	config := a.lab.configs[ifName]
	if op.cni() == "DEL" {
		config = withResult(config, p.result(ifName))
	}
	plugin := macvlan
	if ifName == eth0 {
		plugin = ptp
	}
	result, err := r.run(command{path: a.lab.plugin(plugin), stdin: config, env: p.env(op, ifName, "")})
	if err == nil {
		p.keep(ifName, result)
	}
	return err
}

// withResult adds the key prevResult to a configuration, without the cost of parsing JSON.
func withResult(config, result []byte) []byte {
	return bytes.Join([][]byte{config[:len(config)-1], []byte(`,"prevResult":`), result, []byte("}")}, nil)
}

// A metaPlugin is kactus or a peer.
type metaPlugin struct {
	title   string
	binary  string
	netconf []byte
	// hotArgs is added to CNI_ARGS for a hot operation of the network hotName. Empty means that the
	// plugin has no hot operations.
	hotArgs string
	// annotate returns a Pod's annotations; nil means the same as for kactus.
	annotate func(ctx context.Context, pod string, networks []string) (map[string]string, error)
}

func (m *metaPlugin) name() string { return m.title }

func (m *metaPlugin) do(r runner, op operation, p *pod) error {
	ifName, extra := eth0, ""
	if op.hot() {
		ifName, extra = p.hotIfName(), m.hotArgs
	}
	_, err := r.run(command{path: m.binary, stdin: m.netconf, env: p.env(op, ifName, extra)})
	return err
}

// A pod is a Pod in the apiserver, and one sandbox of it.
type pod struct {
	podObject
	*sandbox
	id      string
	path    string // CNI_PATH
	mu      sync.Mutex
	results map[string][]byte // of the delegates alone, by interface name
}

func (p *pod) keep(ifName string, result []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results[ifName] = result
}

func (p *pod) result(ifName string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.results[ifName]
}

// A podObject is a Pod in the apiserver.
type podObject struct {
	namespace, name, uid string
	networks             []string
	hot                  string // the network of hot ADD and hot DEL; empty: none
}

const eth0 = "eth0"

func (o podObject) ifNames() []string {
	ifNames := []string{eth0}
	for _, n := range o.networks {
		ifNames = append(ifNames, network.DeviceName(n))
	}
	return ifNames
}

func (o podObject) hotIfName() string { return network.DeviceName(o.hot) }

// env returns the environment of a plugin, as a runtime sets it. extra is added to CNI_ARGS.
func (p *pod) env(op operation, ifName, extra string) []string {
	const format = "IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_INFRA_CONTAINER_ID=%s;K8S_POD_UID=%s"
	args := fmt.Sprintf(format, p.namespace, p.name, p.id, p.uid)
	if extra != "" {
		args += ";" + extra
	}
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"CNI_COMMAND=" + op.cni(), "CNI_CONTAINERID=" + p.id, "CNI_NETNS=" + p.sandbox.path, "CNI_IFNAME=" + ifName,
		"CNI_ARGS=" + args, "CNI_PATH=" + p.path,
	}
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // all arguments are made here and can be encoded
	}
	return data
}
