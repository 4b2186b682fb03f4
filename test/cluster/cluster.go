// Package cluster runs a real Kubernetes control plane, etcd and kube-apiserver, for
// tests and demonstrations. It builds both from source, once, and starts them on
// loopback, in a state folder, in seconds. There are no nodes, no scheduler and no
// controllers: a Pod is what its creator says it is, and stays that.
//
// In a test:
//
//	cp, err := cluster.Start(ctx, cluster.Options{})
//	...
//	defer cp.Stop()
//	err = cp.WriteKubeconfig(path, cp.AdminToken())
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"
)

// startTimeout bounds the time that etcd and kube-apiserver may take to be ready; they
// need seconds. The time to build them is not part of it.
const startTimeout = 2 * time.Minute

// Options say what control plane to start. The zero value is one with an
// administrator alone, in a temporary folder, built if need be.
type Options struct {
	// Dir is the folder for data, certificates and logs. Empty means a temporary one,
	// which Stop removes. What etcd keeps in a folder from an earlier start is used
	// again; certificates and the administrator's token are made anew.
	Dir string
	// Binaries are the parts to run. Nil means to let Builder build them all.
	Binaries Binaries
	// Builder builds the parts if Binaries is nil.
	Builder Builder
	// Users are known to the apiserver beside the administrator. RBAC lets them do
	// nothing until the test grants it.
	Users []User
	// ExtraIPs are further addresses that the serving certificate is good for, beside
	// 127.0.0.1: the one, say, by which a virtual machine reaches the host's loopback.
	ExtraIPs []net.IP
	// ServiceAccountAdmission keeps the admission plugin of that name, which gives each
	// Pod a service account and refuses a Pod whose service account does not exist. No
	// controller makes the default ones here, so that it is off unless asked for.
	ServiceAccountAdmission bool
	// APIServerArgs are given to kube-apiserver after all others, and so win over them.
	APIServerArgs []string
}

// A User is known by a bearer token.
type User struct {
	Name   string
	Token  string
	Groups []string
}

// ControlPlane is an etcd and a kube-apiserver that run. Its methods are safe for
// concurrent use.
type ControlPlane struct {
	options    Options
	dir        string
	madeDir    bool // the folder is ours to remove
	detached   bool // the processes outlive this one
	ca         []byte
	etcdClient *http.Client // with the certificate that etcd insists on
	client     *http.Client // the administrator's
	adminToken string

	mu            sync.Mutex // guards what follows
	etcd          *process
	etcdPort      int
	apiserver     *process
	apiserverPort int
}

// Start starts a control plane and returns once it serves. It builds what is not built
// yet, which can take minutes: ctx bounds all of that, but not the life of the control
// plane, which lasts until Stop or until the calling process ends.
func Start(ctx context.Context, options Options) (*ControlPlane, error) {
	return start(ctx, options, false)
}

func start(ctx context.Context, options Options, detached bool) (*ControlPlane, error) {
	cp, err := prepare(ctx, options)
	if err != nil {
		return nil, err
	}
	cp.detached = detached
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err = cp.startEtcd(ctx); err == nil {
		err = cp.StartAPIServer(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a control plane: %w", err), cp.Stop())
	}
	return cp, nil
}

// prepare makes all that must be there before a process starts.
func prepare(ctx context.Context, options Options) (*ControlPlane, error) {
	if options.Binaries == nil {
		binaries, err := options.Builder.Build(ctx, Parts()...)
		if err != nil {
			return nil, err
		}
		options.Binaries = binaries
	}
	dir, made, err := makeStateDir(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("making the control plane's folder: %w", err)
	}
	cp := &ControlPlane{options: options, dir: dir, madeDir: made}
	if err := cp.writeState(); err != nil {
		if made {
			err = errors.Join(err, removeState(dir, made))
		}
		return nil, fmt.Errorf("preparing the control plane's folder %s: %w", dir, err)
	}
	return cp, nil
}

func (cp *ControlPlane) writeState() error {
	ca, etcdCertificate, err := writePKI(cp.dir, cp.options.ExtraIPs)
	if err != nil {
		return err
	}
	cp.ca = ca
	if cp.etcdClient, err = newClient(ca, &etcdCertificate); err != nil {
		return err
	}
	if cp.client, err = newClient(ca, nil); err != nil {
		return err
	}
	if cp.adminToken, err = writeTokens(cp.path(fileTokens), cp.options.Users); err != nil {
		return err
	}
	return writeAuditPolicy(cp.path(fileAuditPolicy))
}

// Stop ends both processes and removes the state folder if it was a temporary one. A
// second call does nothing.
func (cp *ControlPlane) Stop() error {
	err := cp.StopAPIServer()
	cp.mu.Lock()
	defer cp.mu.Unlock()
	err = errors.Join(err, cp.etcd.stop())
	cp.etcdClient.CloseIdleConnections()
	if err != nil || !cp.madeDir {
		return err
	}
	cp.madeDir = false
	return removeState(cp.dir, true)
}

// Dir returns the state folder, where the logs are.
func (cp *ControlPlane) Dir() string { return cp.dir }

// CAPEM returns the PEM-encoded certificate of the authority that signed the
// apiserver's.
func (cp *ControlPlane) CAPEM() []byte { return append([]byte(nil), cp.ca...) }

// AdminToken returns the bearer token of a user who may do everything.
func (cp *ControlPlane) AdminToken() string { return cp.adminToken }

func (cp *ControlPlane) path(name string) string { return filepath.Join(cp.dir, name) }
