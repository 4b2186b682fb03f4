package cluster

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
)

// startEtcd starts etcd and waits until it serves.
func (cp *ControlPlane) startEtcd(ctx context.Context) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	return cp.onPort(hostEtcdPort, func(port int) error {
		etcd, err := cp.launch(Etcd, cp.etcdArgs(port))
		if err != nil {
			return err
		}
		if err := etcd.await(ctx, func(ctx context.Context) error { return cp.etcdReady(ctx, port) }); err != nil {
			return failedStart(etcd, err, port)
		}
		cp.etcd, cp.etcdPort = etcd, port
		return nil
	})
}

// etcdArgs returns etcd's arguments. They trade durability for speed: the data need not survive the
// machine. Both sides must present a certificate of this control plane's authority, which keeps out
// other users of the machine, and another etcd that won the race for the port.
func (cp *ControlPlane) etcdArgs(port int) []string {
	const (
		member  = "kactus-test"
		nowhere = "http://127.0.0.1:1" // there are no peers, but etcd requires an address for them
	)
	return []string{
		"--name=" + member,
		"--data-dir=" + cp.path(dirEtcd),
		"--listen-client-urls=" + etcdURL(port),
		"--advertise-client-urls=" + etcdURL(port),
		"--listen-peer-urls=http://127.0.0.1:0",
		"--initial-advertise-peer-urls=" + nowhere,
		"--initial-cluster=" + member + "=" + nowhere,
		"--cert-file=" + cp.path(fileServingCert),
		"--key-file=" + cp.path(fileServingKey),
		"--client-cert-auth",
		"--trusted-ca-file=" + cp.path(fileCA),
		"--unsafe-no-fsync",
		"--log-level=warn",
	}
}

func (cp *ControlPlane) etcdReady(ctx context.Context, port int) error {
	status, answer, err := do(ctx, cp.etcdClient, http.MethodGet, etcdURL(port)+"/readyz", nil, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("status %d: %s", status, answer)
	}
	return nil
}

func etcdURL(port int) string { return "https://127.0.0.1:" + strconv.Itoa(port) }
