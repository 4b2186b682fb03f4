// Package netconf parses kactus's own CNI configuration, which the runtime passes on stdin (CNI
// specification, section 1, "Network configuration format"), into a validated Conf. It does no I/O.
package netconf

import (
	"encoding/json"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// The values of keys that the netconf leaves out.
const (
	DefaultCNIDir           = "/var/lib/cni/kactus"
	DefaultLockDir          = "/run/kactus"
	DefaultMultusDir        = "/var/lib/cni/multus"
	DefaultNetworkNamespace = "default"
	// DefaultMultusNamespace is Multus's own default.
	DefaultMultusNamespace = "kube-system"
	DefaultConfDir         = "/etc/cni/net.d"
	// DefaultPodResourcesSocket is where a kubelet serves that whose --root-dir is the default.
	DefaultPodResourcesSocket = "/var/lib/kubelet/pod-resources/kubelet.sock"
	DefaultAPITimeout         = 30 * time.Second
	DefaultDelegateTimeout    = 60 * time.Second
	// DefaultParallelDelegates was measured on two cores: with fewer, a DEL waits, and with more,
	// an ADD is no faster (see docs/performance.md).
	DefaultParallelDelegates = 16
)

const maxParallelDelegates = 64

// SelectionCapability is the capability, kactus's own, as which a node agent passes the selection
// that a hot operation is for: one element of the Pod's annotation, in runtimeConfig.
const SelectionCapability = "kaloom.com/selection"

// MaxSize is the size limit of a netconf in bytes.
const MaxSize = 4 << 20

// Versions returns the versions of the CNI specification that kactus supports, in ascending order.
func Versions() []string {
	return []string{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}
}

// Conf holds a netconf, validated and with its defaults.
type Conf struct {
	// Name is the name of the network configuration.
	Name string
	// CNIVersion is the version of the CNI specification that the runtime speaks, also in results.
	CNIVersion string
	// Kubeconfig is the path of a kubeconfig. Empty stands for the in-cluster credentials.
	Kubeconfig string
	// Master is the delegate of the default network.
	Master cniconf.Chain
	// Auxiliary are the delegates of the networks, apart from the default network, that every Pod
	// is attached to, each with a name of its own.
	Auxiliary []cniconf.Chain
	// RuntimeConfig holds what the runtime sets, by capability (CNI conventions, "Dynamic Plugin
	// specific fields"), apart from SelectionCapability.
	RuntimeConfig map[string]json.RawMessage
	// Selection is what a node agent passes as SelectionCapability. It is nil where there is none,
	// and empty, but not nil, where it is invalid.
	Selection *network.Selection
	// CNIDir is the directory of the ledger.
	CNIDir string
	// LockDir is the directory of the locks.
	LockDir string
	// MultusDir is the directory in which Multus keeps what it attached, if there is one.
	MultusDir string
	// NetworkNamespace is the namespace of Networks that the Pod's own namespace does not have.
	NetworkNamespace string
	// NamespaceIsolation restricts Pods to the Networks of their own namespace and
	// NetworkNamespace.
	NamespaceIsolation bool
	// GlobalNamespaces are those whose Networks NamespaceIsolation lets every Pod use.
	GlobalNamespaces []string
	// MultusNamespace is the namespace in which a default network is looked for first that Multus's
	// annotation names without a namespace.
	MultusNamespace string
	// ConfDir is the directory of the CNI configurations that NetworkAttachmentDefinitions without
	// one of their own name.
	ConfDir string
	// NPWGParallel lets the delegates of NetworkAttachmentDefinitions run at once, as far as those
	// of Networks do.
	NPWGParallel bool
	// PodResourcesSocket is the path of the socket of the kubelet's pod-resources API.
	PodResourcesSocket string
	// APITimeout limits the time for requests to the apiserver, retries included.
	APITimeout time.Duration
	// DelegateTimeout limits the time of one delegate in one operation.
	DelegateTimeout time.Duration
	// ParallelDelegates limits how many delegates of one Pod run at once. It is from 1 to 64.
	ParallelDelegates int
	// ParallelPlugins are the types of plugins, in addition to those that kactus knows, that touch
	// nothing but the interface that they make, so that several can run at once.
	ParallelPlugins []string
	// LogLevel is the level of the log, and nil where the netconf does not set it.
	LogLevel *Level
	// LogFile is the path of the log, and empty where the netconf does not set it.
	LogFile string
	// DisableCheck and DisableGC make CHECK and GC succeed without doing anything. Runtimes apply
	// those keys of a configuration list, but do not see them in a netconf with a file of its own.
	DisableCheck, DisableGC bool
	// PrevResult is the result of the plugin before kactus in a configuration list, for an ADD, or
	// that of the whole list's ADD, for a CHECK or a DEL. It is nil where the runtime does not pass
	// it.
	PrevResult json.RawMessage
	// ValidAttachments are the attachments that the runtime still has, for a GC. They are nil where
	// the runtime does not pass them, and empty, but not nil, where it has none.
	ValidAttachments []types.GCAttachment
}
