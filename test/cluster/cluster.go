// Package cluster runs a real Kubernetes for tests and demonstrations. It builds the parts from
// source, once, and starts them within seconds. Everything they write is in one state directory.
//
// Start runs a control plane alone, etcd and kube-apiserver, on loopback. There are no nodes, no
// scheduler and no controllers: a Pod stays as it was created.
//
//	cp, err := cluster.Start(ctx, cluster.Options{})
//	...
//	defer cp.Stop()
//	err = cp.WriteKubeconfig(path, cp.AdminToken())
//
// StartNodes runs a whole cluster: the control plane with its controllers, and nodes that run Pods,
// each with a kubelet, a container runtime, files and a network of its own.
//
//	c, err := cluster.StartNodes(ctx, cluster.NodesOptions{Nodes: 2})
//	...
//	defer c.Stop()
//	out, err := c.Kubectl(ctx, "get", "nodes").CombinedOutput()
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// startTimeout bounds the time that etcd and kube-apiserver take to become ready, normally seconds.
// Building them does not count.
const startTimeout = 2 * time.Minute

// Options configure a control plane. The zero value means no user but the administrator, a
// temporary directory, and binaries built on demand.
type Options struct {
	// Dir is the directory for data, certificates and logs. Empty means a temporary one, which Stop
	// removes. Data that etcd left there is used again; certificates and the administrator's token
	// are new.
	Dir string
	// Binaries are the parts to run. Nil means that Builder builds them.
	Binaries Binaries
	// Builder builds the parts if Binaries is nil.
	Builder Builder
	// Users are known to the apiserver besides the administrator. RBAC forbids them everything
	// until the test grants it.
	Users []User
	// ExtraIPs are addresses in the serving certificate besides 127.0.0.1, such as the one at which
	// a virtual machine reaches the host's loopback.
	ExtraIPs []net.IP
	// ServiceAccountAdmission keeps the admission plugin of that name, which gives each Pod a
	// service account and refuses a Pod whose service account does not exist. No controller creates
	// the default ones here, so the plugin is off by default.
	ServiceAccountAdmission bool
	// APIServerArgs come last on kube-apiserver's command line, and so override the others.
	APIServerArgs []string

	ownHost bool // run in separate network and PID namespaces
}

// A User authenticates with a bearer token.
type User struct {
	Name   string
	Token  string
	Groups []string
}

// A ControlPlane runs etcd and kube-apiserver. Its methods are safe for concurrent use.
type ControlPlane struct {
	options    Options
	dir        string
	madeDir    bool // the directory is ours to remove
	detached   bool // the processes outlive this one
	ca         []byte
	etcdClient *http.Client // with the certificate that etcd requires
	client     *http.Client // the administrator's
	adminToken string
	users      map[string]keyPair // by name

	// A control plane with nodes has a host of its own, whose loopback is not the machine's. The
	// machine reaches it through the forwarder.
	host        *host
	forward     *process
	forwardPort int

	mu            sync.Mutex // guards the fields below
	etcd          *process
	etcdPort      int
	apiserver     *process
	apiserverPort int
}

// Start starts a control plane and returns once it serves. It builds missing parts, which can take
// minutes. ctx bounds all of that, but not the life of the control plane, which lasts until Stop or
// until the calling process ends.
func Start(ctx context.Context, options Options) (*ControlPlane, error) {
	return start(ctx, options, false)
}

func start(ctx context.Context, options Options, detached bool) (*ControlPlane, error) {
	cp, err := prepare(ctx, options, detached)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if options.ownHost {
		err = cp.startHost(ctx)
	}
	if err == nil {
		err = cp.startEtcd(ctx)
	}
	if err == nil {
		err = cp.StartAPIServer(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a control plane: %w", err), cp.Stop())
	}
	return cp, nil
}

// prepare makes everything that must exist before a process starts.
func prepare(ctx context.Context, options Options, detached bool) (*ControlPlane, error) {
	if options.Binaries == nil {
		binaries, err := options.Builder.Build(ctx, Parts()...)
		if err != nil {
			return nil, err
		}
		options.Binaries = binaries
	}
	dir, made, err := makeStateDir(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("making the control plane's directory: %w", err)
	}
	cp := &ControlPlane{options: options, dir: dir, madeDir: made, detached: detached}
	if err := cp.writeState(); err != nil {
		if made {
			err = errors.Join(err, removeState(dir, made))
		}
		return nil, fmt.Errorf("preparing the control plane's directory %s: %w", dir, err)
	}
	return cp, nil
}

func (cp *ControlPlane) writeState() error {
	if cp.madeDir && cp.detached {
		if err := os.WriteFile(cp.path(fileMadeByUp), nil, 0o600); err != nil {
			return err
		}
	}
	ca, etcdCertificate, err := cp.writePKI()
	if err != nil {
		return err
	}
	cp.ca = ca
	if cp.etcdClient, err = newClient(ca, &etcdCertificate, cp.dial); err != nil {
		return err
	}
	if cp.client, err = newClient(ca, nil, nil); err != nil {
		return err
	}
	if cp.adminToken, err = writeTokens(cp.path(fileTokens), cp.options.Users); err != nil {
		return err
	}
	return writeAuditPolicy(cp.path(fileAuditPolicy))
}

// Stop ends the processes and removes the state directory if that is a temporary one. A second call
// does nothing.
func (cp *ControlPlane) Stop() error {
	err := cp.StopAPIServer()
	cp.mu.Lock()
	defer cp.mu.Unlock()
	err = errors.Join(err, cp.etcd.stop(), cp.forward.stop(), cp.host.stop())
	cp.etcdClient.CloseIdleConnections()
	if err != nil || !cp.madeDir {
		return err
	}
	cp.madeDir = false
	return removeState(cp.dir, true)
}

// Dir returns the state directory, which contains the logs.
func (cp *ControlPlane) Dir() string { return cp.dir }

// CAPEM returns the PEM-encoded certificate of the authority that signed the apiserver's
// certificate.
func (cp *ControlPlane) CAPEM() []byte { return append([]byte(nil), cp.ca...) }

// AdminToken returns the bearer token of the administrator, who may do everything.
func (cp *ControlPlane) AdminToken() string { return cp.adminToken }

func (cp *ControlPlane) path(name string) string { return filepath.Join(cp.dir, name) }
