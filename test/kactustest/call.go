package kactustest

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// A Call holds the parameters of an operation, other than the netconf and the container ID.
type Call struct {
	IfName string
	Netns  string
	// Args are the pairs of CNI_ARGS.
	Args [][2]string
	// Capabilities holds the runtime's values for capabilities that the netconf declares.
	Capabilities map[string]any
	// Env holds further environment variables. The CNI library does not pass them on.
	Env []string
}

// Runtime returns the parameters of an operation by a container runtime.
func (p *Pod) Runtime() Call {
	return Call{IfName: "eth0", Netns: p.Netns, Args: [][2]string{
		{"IgnoreUnknown", "1"},
		{"K8S_POD_NAMESPACE", p.Namespace},
		{"K8S_POD_NAME", p.Name},
		{"K8S_POD_INFRA_CONTAINER_ID", p.ID},
		{"K8S_POD_UID", p.UID},
	}}
}

// Agent returns the parameters of a hot operation by a node agent, for one network of a running
// Pod. mac may be empty.
func (p *Pod) Agent(network, mac string) Call {
	return Call{IfName: IfName(network), Netns: p.Netns, Args: [][2]string{
		{"IgnoreUnknown", "1"},
		{"K8S_POD_NAMESPACE", p.Namespace},
		{"K8S_POD_NAME", p.Name},
		{"K8S_POD_INFRA_CONTAINER_ID", p.ID},
		{"K8S_POD_NETWORK", network},
		{"K8S_POD_IFMAC", mac},
	}}
}

// AgentConf returns the netconf that a node agent uses.
func (p *Pod) AgentConf() NetConf {
	conf := p.Conf
	conf.Kubeconfig = p.AgentKubeconfig
	return conf
}

// AddWith runs ADD through the CNI library, as runtimes do.
func (p *Pod) AddWith(t *testing.T, conf NetConf, c Call) (types.Result, error) {
	t.Helper()
	return p.libcni(t).AddNetworkList(t.Context(), configList(t, conf), p.runtimeConf(c))
}

// DelWith runs DEL through the CNI library.
func (p *Pod) DelWith(t *testing.T, conf NetConf, c Call) error {
	t.Helper()
	return p.libcni(t).DelNetworkList(t.Context(), configList(t, conf), p.runtimeConf(c))
}

// CheckWith runs CHECK through the CNI library.
func (p *Pod) CheckWith(t *testing.T, conf NetConf, c Call) error {
	t.Helper()
	return p.libcni(t).CheckNetworkList(t.Context(), configList(t, conf), p.runtimeConf(c))
}

// GC runs GC through the CNI library, as a runtime does that has only these Pods left.
func (tn *Tenant) GC(t *testing.T, pods ...*Pod) error {
	t.Helper()
	args := &libcni.GCArgs{}
	for _, p := range pods {
		args.ValidAttachments = append(args.ValidAttachments, types.GCAttachment{ContainerID: p.ID, IfName: "eth0"})
	}
	return tn.libcni(t).GCNetworkList(t.Context(), configList(t, tn.Conf), args)
}

// Status runs STATUS through the CNI library.
func (tn *Tenant) Status(t *testing.T) error {
	t.Helper()
	return tn.libcni(t).GetStatusNetworkList(t.Context(), configList(t, tn.Conf))
}

func (tn *Tenant) libcni(t *testing.T) *libcni.CNIConfig {
	exec := &invoke.DefaultExec{RawExec: &invoke.RawExec{Stderr: t.Output()}}
	return libcni.NewCNIConfigWithCacheDir(tn.Path, tn.LibcniCacheDir(), exec)
}

// LibcniCacheDir returns the directory in which the CNI library remembers what it added.
func (tn *Tenant) LibcniCacheDir() string { return filepath.Join(tn.Dir, "libcni") }

// configList wraps a netconf in a list, as runtimes do for a file with the extension conf.
func configList(t *testing.T, conf NetConf) *libcni.NetworkConfigList {
	t.Helper()
	list, err := libcni.NetworkConfFromBytes(Encode(t, struct {
		CNIVersion string    `json:"cniVersion"`
		Name       string    `json:"name"`
		Plugins    []NetConf `json:"plugins"`
	}{conf.CNIVersion, conf.Name, []NetConf{conf}}))
	Must(t, err)
	return list
}

func (p *Pod) runtimeConf(c Call) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{ContainerID: p.ID, NetNS: c.Netns, IfName: c.IfName, Args: c.Args,
		CapabilityArgs: c.Capabilities}
}

// Add runs ADD of the Pod, which must succeed.
func (p *Pod) Add(t *testing.T) *types100.Result {
	t.Helper()
	return MustResult(t)(p.AddWith(t, p.Conf, p.Runtime()))
}

// AddError runs ADD of the Pod, which must fail.
func (p *Pod) AddError(t *testing.T) *types.Error {
	t.Helper()
	_, err := p.AddWith(t, p.Conf, p.Runtime())
	return CNIError(t, err)
}

// Del runs DEL of the Pod, which must succeed.
func (p *Pod) Del(t *testing.T) {
	t.Helper()
	if err := p.DelWith(t, p.Conf, p.Runtime()); err != nil {
		t.Fatalf("DEL: %v", err)
	}
}

// HotAdd runs the hot ADD of a network, which must succeed.
func (p *Pod) HotAdd(t *testing.T, network string) *types100.Result {
	t.Helper()
	return p.HotAddMAC(t, network, "")
}

// HotAddMAC runs the hot ADD of a network with a MAC address, which must succeed.
func (p *Pod) HotAddMAC(t *testing.T, network, mac string) *types100.Result {
	t.Helper()
	return MustResult(t)(p.AddWith(t, p.AgentConf(), p.Agent(network, mac)))
}

// HotAddError runs the hot ADD of a network, which must fail.
func (p *Pod) HotAddError(t *testing.T, network string) *types.Error {
	t.Helper()
	_, err := p.AddWith(t, p.AgentConf(), p.Agent(network, ""))
	return CNIError(t, err)
}

// HotDel runs the hot DEL of a network, which must succeed.
func (p *Pod) HotDel(t *testing.T, network string) {
	t.Helper()
	if err := p.DelWith(t, p.AgentConf(), p.Agent(network, "")); err != nil {
		t.Fatalf("hot DEL of %s: %v", network, err)
	}
}

// MustResult returns a function that fails the test if the ADD whose result it is given failed, and
// returns the result in the current version of the specification.
func MustResult(t *testing.T) func(types.Result, error) *types100.Result {
	return func(result types.Result, err error) *types100.Result {
		t.Helper()
		if err != nil {
			t.Fatalf("ADD: %v", err)
		}
		converted, err := types100.NewResultFromResult(result)
		Must(t, err)
		return converted
	}
}

// CNIError returns the CNI error in err, and fails the test if there is none.
func CNIError(t *testing.T, err error) *types.Error {
	t.Helper()
	var e *types.Error
	if !errors.As(err, &e) {
		t.Fatalf("error: %v; want a CNI error", err)
	}
	return e
}

// Encode returns v as JSON.
func Encode(t *testing.T, v any) []byte {
	t.Helper()
	if raw, ok := v.(json.RawMessage); ok {
		return raw
	}
	data, err := json.Marshal(v)
	Must(t, err)
	return data
}

// WithKey returns a netconf with one more key.
func WithKey(t *testing.T, conf NetConf, key string, value any) map[string]any {
	t.Helper()
	var m map[string]any
	Must(t, json.Unmarshal(Encode(t, conf), &m))
	m[key] = value
	return m
}

// Environ returns the environment variables of an operation.
func (p *Pod) Environ(operation string, c Call) []string {
	var args []string
	for _, pair := range c.Args {
		args = append(args, pair[0]+"="+pair[1])
	}
	return append([]string{
		"CNI_COMMAND=" + operation, "CNI_CONTAINERID=" + p.ID, "CNI_NETNS=" + c.Netns, "CNI_IFNAME=" + c.IfName,
		"CNI_ARGS=" + strings.Join(args, ";"), "CNI_PATH=" + strings.Join(p.Path, ":"),
	}, c.Env...)
}
