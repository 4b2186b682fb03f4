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

// A verb is one that is measured.
type verb string

const (
	add    verb = "ADD"
	del    verb = "DEL"
	hotAdd verb = "hot ADD"
	hotDel verb = "hot DEL"
)

// cni is the verb as CNI_COMMAND has it.
func (v verb) cni() string { return strings.TrimPrefix(string(v), "hot ") }

func (v verb) hot() bool { return v != verb(v.cni()) }

// A subject is what a container runtime could run: a meta-plugin, or the delegates alone.
type subject interface {
	name() string
	// do runs a verb on a Pod.
	do(r runner, v verb, p *pod) error
}

const (
	nameAlone  = "delegates alone"
	nameKactus = "kactus"
)

// alone runs the delegates as a meta-plugin would have to: with its own network's configuration, and at a DEL with the result of the ADD. The default
// network's is the first at an ADD, and the last at a DEL.
type alone struct {
	bed *bed
	// parallel is how many of the others run at once.
	parallel int
}

func (a alone) name() string {
	if a.parallel == 1 {
		return nameAlone
	}
	return fmt.Sprintf("%s, %d at once", nameAlone, a.parallel)
}

func (a alone) do(r runner, v verb, p *pod) error {
	devices := []string{p.hotDevice()}
	if !v.hot() {
		devices = p.devices()
	}
	steps := [][]string{devices[:1], devices[1:]}
	if v.cni() == "DEL" {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		var group errgroup.Group
		group.SetLimit(a.parallel)
		for _, device := range step {
			group.Go(func() error { return a.run(r, v, p, device) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (a alone) run(r runner, v verb, p *pod, device string) error {
	config := a.bed.configs[device]
	if v.cni() == "DEL" {
		config = withResult(config, p.result(device))
	}
	plugin := macvlan
	if device == eth0 {
		plugin = ptp
	}
	result, err := r.run(command{path: a.bed.plugin(plugin), stdin: config, env: p.env(v, device, "")})
	if err == nil {
		p.keep(device, result)
	}
	return err
}

// withResult adds the key prevResult to a configuration, without the cost of reading either.
func withResult(config, result []byte) []byte {
	return bytes.Join([][]byte{config[:len(config)-1], []byte(`,"prevResult":`), result, []byte("}")}, nil)
}

// metaPlugin is kactus, or a peer.
type metaPlugin struct {
	title   string
	binary  string
	netconf []byte
	// hotArgs is what CNI_ARGS says in a hot verb of the network hotName; empty: it has no hot verbs.
	hotArgs string
	// annotate gives a Pod's annotations; nil: they are kactus's.
	annotate func(ctx context.Context, pod string, networks []string) (map[string]string, error)
}

func (m *metaPlugin) name() string { return m.title }

func (m *metaPlugin) do(r runner, v verb, p *pod) error {
	device, extra := eth0, ""
	if v.hot() {
		device, extra = p.hotDevice(), m.hotArgs
	}
	_, err := r.run(command{path: m.binary, stdin: m.netconf, env: p.env(v, device, extra)})
	return err
}

// pod is a Pod of the apiserver, and one sandbox of it.
type pod struct {
	podObject
	*sandbox
	id      string
	path    string // CNI_PATH
	mu      sync.Mutex
	results map[string][]byte // of the delegates alone, by device
}

func (p *pod) keep(device string, result []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results[device] = result
}

func (p *pod) result(device string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.results[device]
}

// podObject is what the apiserver has of a Pod.
type podObject struct {
	namespace, name, uid string
	networks             []string
	hot                  string // the network that comes and goes while it runs; empty: none
}

const eth0 = "eth0"

func (o podObject) devices() []string {
	devices := []string{eth0}
	for _, n := range o.networks {
		devices = append(devices, network.DeviceName(n))
	}
	return devices
}

func (o podObject) hotDevice() string { return network.DeviceName(o.hot) }

// env is what a runtime says of a Pod; extra is further CNI_ARGS.
func (p *pod) env(v verb, device, extra string) []string {
	args := fmt.Sprintf("IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_INFRA_CONTAINER_ID=%s;K8S_POD_UID=%s", p.namespace, p.name, p.id, p.uid)
	if extra != "" {
		args += ";" + extra
	}
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"CNI_COMMAND=" + v.cni(), "CNI_CONTAINERID=" + p.id, "CNI_NETNS=" + p.sandbox.path, "CNI_IFNAME=" + device,
		"CNI_ARGS=" + args, "CNI_PATH=" + p.path,
	}
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // only what is made here is given to it
	}
	return data
}
