package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// tenant is one test's share of the node and the cluster: a namespace, a ledger, lease files, bridges and a netconf of its own.
type tenant struct {
	number    int64
	namespace string
	dir       string
	conf      netconf
	// agentKubeconfig is for hot verbs: its user may not get Pods.
	agentKubeconfig string
	// path is CNI_PATH.
	path []string
}

// netconf is kactus's configuration, as a test says it.
type netconf struct {
	CNIVersion         string            `json:"cniVersion"`
	Name               string            `json:"name"`
	Type               string            `json:"type"`
	Kubeconfig         string            `json:"kubeconfig,omitempty"`
	Capabilities       map[string]bool   `json:"capabilities,omitempty"`
	CNIDir             string            `json:"cniDir"`
	NetworkNamespace   string            `json:"networkNamespace,omitempty"`
	NamespaceIsolation bool              `json:"namespaceIsolation,omitempty"`
	APITimeout         string            `json:"apiTimeout,omitempty"`
	DelegateTimeout    string            `json:"delegateTimeout,omitempty"`
	LogLevel           string            `json:"logLevel,omitempty"`
	LogFile            string            `json:"logFile,omitempty"`
	Delegates          []json.RawMessage `json:"delegates"`
}

// defaultNet is the name of the netconf, and so of its master delegate.
const defaultNet = "pod-net"

var (
	numbers atomic.Int64
	sources sync.Once
)

// newTenant has the master delegate bridge, with addresses of host-local.
func newTenant(t *testing.T) *tenant {
	t.Helper()
	sources.Do(func() { readSources(t) })
	n := numbers.Add(1)
	tn := &tenant{number: n, dir: t.TempDir(), path: []string{suite.plugins, suite.kactus}}
	tn.namespace = tn.makeNamespace(t, "tenant")
	tn.agentKubeconfig = tn.kubeconfig(t, "agent", agentToken)
	tn.conf = netconf{
		CNIVersion: "1.0.0", Name: defaultNet, Type: "kactus",
		Kubeconfig: tn.kubeconfig(t, "node", nodeToken),
		CNIDir:     filepath.Join(tn.dir, "ledger"),
		LogFile:    filepath.Join(tn.dir, "kactus.log"),
		LogLevel:   "debug",
	}
	tn.delegates(`{"masterPlugin": true, ` + tn.bridge(t, "eth") + `}`)
	return tn
}

// delegates sets the netconf's.
func (tn *tenant) delegates(delegates ...string) {
	tn.conf.Delegates = nil
	for _, d := range delegates {
		tn.conf.Delegates = append(tn.conf.Delegates, json.RawMessage(d))
	}
}

func (tn *tenant) makeNamespace(t *testing.T, name string) string {
	t.Helper()
	name = fmt.Sprintf("%s-%d", name, tn.number)
	create(t, namespacesPath(), object{APIVersion: "v1", Kind: "Namespace", Metadata: metadata{Name: name}})
	return name
}

func (tn *tenant) kubeconfig(t *testing.T, name, token string) string {
	t.Helper()
	path := filepath.Join(tn.dir, name+".kubeconfig")
	if err := suite.cp.WriteKubeconfig(path, token); err != nil {
		t.Fatal(err)
	}
	return path
}

// bridge is the inside of a configuration of the bridge plugin with host-local. The bridge, which the plugin makes and leaves, goes with the test.
func (tn *tenant) bridge(t *testing.T, name string) string {
	t.Helper()
	device := fmt.Sprintf("%s%.8s", tn.bridgePrefix(), name)
	t.Cleanup(func() {
		if link, err := netlink.LinkByName(device); err == nil {
			if err := netlink.LinkDel(link); err != nil {
				t.Errorf("remove the bridge %s: %v", device, err)
			}
		}
	})
	return fmt.Sprintf(`"type": "bridge", "bridge": %q, "ipam": %s`, device, tn.hostLocal(t))
}

func (tn *tenant) bridgePrefix() string { return fmt.Sprintf("b%d-", tn.number) }

// hostLocal is an ipam section with a subnet that no other has.
func (tn *tenant) hostLocal(t *testing.T) string {
	t.Helper()
	n := numbers.Add(1)
	return fmt.Sprintf(`{"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.%d.%d.0/24"}]]}`, tn.leaseDir(), n/256, n%256)
}

func (tn *tenant) leaseDir() string { return filepath.Join(tn.dir, "leases") }

// network makes a Network of that configuration in the tenant's namespace.
func (tn *tenant) network(t *testing.T, name, config string) {
	t.Helper()
	create(t, networksPath(tn.namespace), networkObject(name, networkSpec{Config: config}))
}

// bridges makes a Network for each name, each with a bridge and addresses of its own.
func (tn *tenant) bridges(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		tn.network(t, name, "{"+tn.bridge(t, name)+"}")
	}
}

// script adds a delegate that is a shell script, found before the real plugin of that name.
func (tn *tenant) script(t *testing.T, name, text string) {
	t.Helper()
	dir := filepath.Join(tn.dir, "scripts")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	tn.path = []string{dir, suite.plugins, suite.kactus}
}

// pod is a Pod of the cluster, with the network namespace that a runtime made for it.
type pod struct {
	*tenant
	name, uid string
	id        string // of its sandbox
	netns     string
}

// pod makes one whose annotation is networks, and that has no other.
func (tn *tenant) pod(t *testing.T, networks string) *pod {
	t.Helper()
	return tn.podWith(t, map[string]string{"networks": networks})
}

func (tn *tenant) podWith(t *testing.T, annotations map[string]string) *pod {
	t.Helper()
	p := tn.absentPod(t)
	p.uid = create(t, podsPath(tn.namespace), podObject(p.name, annotations)).Metadata.UID
	return p
}

// absentPod is one that the runtime has and the apiserver has not.
func (tn *tenant) absentPod(t *testing.T) *pod {
	t.Helper()
	n := numbers.Add(1)
	p := &pod{tenant: tn, name: fmt.Sprintf("pod-%d", n), uid: fmt.Sprintf("uid-%d", n), id: fmt.Sprintf("sandbox-%d", n)}
	p.netns = filepath.Join(tn.dir, p.name+".netns")
	makeNetns(t, p.netns)
	return p
}

// makeNetns makes a network namespace that lives at path until the test ends.
func makeNetns(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	t.Cleanup(func() { loseNetns(t, path) })
}

// loseNetns is what a reboot or a runtime in a hurry does to a Pod. A second call does nothing.
func loseNetns(t *testing.T, path string) {
	t.Helper()
	err := unix.Unmount(path, unix.MNT_DETACH)
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil && err != unix.ENOENT && err != unix.EINVAL {
		t.Errorf("remove the network namespace %s: %v", path, err)
	}
}
