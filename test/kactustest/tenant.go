package kactustest

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
)

// A Tenant is one test's share of the node and the cluster: a namespace, a ledger, a log, leases,
// bridges and a netconf of its own.
type Tenant struct {
	// Number differs from tenant to tenant.
	Number int64
	// Namespace is the tenant's namespace in the cluster.
	Namespace string
	// Dir holds the tenant's files.
	Dir string
	// Conf is the netconf that container runtimes use.
	Conf NetConf
	// AgentKubeconfig is the kubeconfig that node agents use. Its user may not get Pods.
	AgentKubeconfig string
	// Path is CNI_PATH.
	Path []string
}

// NetConf is kactus's netconf.
type NetConf struct {
	CNIVersion         string            `json:"cniVersion"`
	Name               string            `json:"name"`
	Type               string            `json:"type"`
	Kubeconfig         string            `json:"kubeconfig,omitempty"`
	Capabilities       map[string]bool   `json:"capabilities,omitempty"`
	RuntimeConfig      map[string]any    `json:"runtimeConfig,omitempty"` // the CNI library sets it itself
	CNIDir             string            `json:"cniDir"`
	NetworkNamespace   string            `json:"networkNamespace,omitempty"`
	NamespaceIsolation bool              `json:"namespaceIsolation,omitempty"`
	PodResourcesSocket string            `json:"podResourcesSocket,omitempty"`
	GlobalNamespaces   []string          `json:"globalNamespaces,omitempty"`
	MultusNamespace    string            `json:"multusNamespace,omitempty"`
	ConfDir            string            `json:"confDir,omitempty"`
	NPWGParallel       bool              `json:"npwgParallel,omitempty"`
	APITimeout         string            `json:"apiTimeout,omitempty"`
	DelegateTimeout    string            `json:"delegateTimeout,omitempty"`
	LogLevel           string            `json:"logLevel,omitempty"`
	LogFile            string            `json:"logFile,omitempty"`
	Delegates          []json.RawMessage `json:"delegates"`
}

// DefaultNetwork is the name of the netconf, and so of the default network.
const DefaultNetwork = "pod-net"

var lastNumber atomic.Int64

// NextNumber returns a number that no other call in this process returns.
func NextNumber() int64 { return lastNumber.Add(1) }

// NewTenant returns a tenant whose master delegate is the bridge plugin with addresses of
// host-local.
func NewTenant(t *testing.T) *Tenant {
	t.Helper()
	Must(t, readSources())
	tn := &Tenant{Number: NextNumber(), Dir: t.TempDir(), Path: []string{PluginDir(), KactusDir()}}
	tn.Namespace = tn.NewNamespace(t, "tenant")
	tn.AgentKubeconfig = tn.NewKubeconfig(t, "agent", AgentToken)
	tn.Conf = NetConf{
		CNIVersion: "1.0.0", Name: DefaultNetwork, Type: "kactus",
		Kubeconfig: tn.NewKubeconfig(t, "node", NodeToken),
		CNIDir:     filepath.Join(tn.Dir, "ledger"),
		LogFile:    filepath.Join(tn.Dir, "kactus.log"),
		LogLevel:   "debug",
	}
	tn.SetDelegates(`{"masterPlugin": true, ` + tn.BridgeConfig(t, "eth") + `}`)
	return tn
}

// SetDelegates sets the netconf's delegates.
func (tn *Tenant) SetDelegates(delegates ...string) {
	tn.Conf.Delegates = nil
	for _, d := range delegates {
		tn.Conf.Delegates = append(tn.Conf.Delegates, json.RawMessage(d))
	}
}

// NewNamespace creates a namespace for the tenant and returns its name, which begins with name.
func (tn *Tenant) NewNamespace(t *testing.T, name string) string {
	t.Helper()
	name = fmt.Sprintf("%s-%d", name, tn.Number)
	Create(t, "/api/v1/namespaces", Object{APIVersion: "v1", Kind: "Namespace", Metadata: Metadata{Name: name}})
	return name
}

// NewKubeconfig writes a kubeconfig with that token and returns its path.
func (tn *Tenant) NewKubeconfig(t *testing.T, name, token string) string {
	t.Helper()
	path := filepath.Join(tn.Dir, name+".kubeconfig")
	Must(t, suite.controlPlane.WriteKubeconfig(path, token))
	return path
}

// BridgeConfig returns the members of a configuration of the bridge plugin, without the braces.
// The bridge, which the plugin creates and does not delete, goes with the test.
func (tn *Tenant) BridgeConfig(t *testing.T, name string) string {
	t.Helper()
	return tn.BridgeConfigFor(t, "bridge", name)
}

// BridgeConfigFor returns what [Tenant.BridgeConfig] does for another plugin that takes the bridge
// plugin's configuration.
func (tn *Tenant) BridgeConfigFor(t *testing.T, plugin, name string) string {
	t.Helper()
	bridge := fmt.Sprintf("%s%.8s", tn.bridgePrefix(), name)
	t.Cleanup(func() {
		if link, err := netlink.LinkByName(bridge); err == nil {
			if err := netlink.LinkDel(link); err != nil {
				t.Errorf("delete the bridge %s: %v", bridge, err)
			}
		}
	})
	return fmt.Sprintf(`"type": %q, "bridge": %q, "ipam": %s`, plugin, bridge, tn.HostLocal(t))
}

// AddBridge creates the bridge that [Tenant.BridgeConfigFor] names, with a MAC address of its own.
// Without one, the address changes with the bridge's ports, and kactus knows only of the plugin
// bridge that its CHECK compares it: not of one with another name.
func (tn *Tenant) AddBridge(t *testing.T, name string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("%s%.8s", tn.bridgePrefix(), name)
	attrs.HardwareAddr = net.HardwareAddr{0x0a, 0, 0, 0, 0, 1}
	Must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
}

func (tn *Tenant) bridgePrefix() string { return fmt.Sprintf("b%d-", tn.Number) }

// HostLocal returns an ipam section of the host-local plugin with a subnet of its own.
func (tn *Tenant) HostLocal(t *testing.T) string {
	t.Helper()
	n := NextNumber()
	return fmt.Sprintf(`{"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.%d.%d.0/24"}]]}`,
		tn.LeaseDir(), n/256, n%256)
}

// LeaseDir returns the directory in which host-local keeps a directory of leases for each network.
func (tn *Tenant) LeaseDir() string { return filepath.Join(tn.Dir, "leases") }

// CreateNetwork creates a Network in the tenant's namespace.
func (tn *Tenant) CreateNetwork(t *testing.T, name, config string) {
	t.Helper()
	Create(t, NetworksPath(tn.Namespace), NetworkObject(name, NetworkSpec{Config: config}))
}

// CreateBridgeNetworks creates Networks of these names, each with a bridge and a subnet of its own.
func (tn *Tenant) CreateBridgeNetworks(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		tn.CreateNetwork(t, name, "{"+tn.BridgeConfig(t, name)+"}")
	}
}

// AddScript adds a delegate that is a shell script. CNI_PATH has it before a real plugin of the
// same name.
func (tn *Tenant) AddScript(t *testing.T, name, script string) {
	t.Helper()
	dir := filepath.Join(tn.Dir, "scripts")
	Must(t, os.MkdirAll(dir, 0o755))
	Must(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755))
	tn.Path = []string{dir, PluginDir(), KactusDir()}
}

// UniqueMAC returns a MAC address for each n that no other tenant has: the kernel wants
// the macvlan interfaces of one uplink to have different ones.
func (tn *Tenant) UniqueMAC(n int) string {
	return fmt.Sprintf("0a:00:00:%02x:%02x:%02x", tn.Number/256, tn.Number%256, n)
}
