package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// StartAPIServer starts kube-apiserver again after StopAPIServer, on the same port and with the
// same data, and returns once it serves. It does nothing if the apiserver runs.
func (cp *ControlPlane) StartAPIServer(ctx context.Context) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	if cp.etcd == nil || !cp.etcd.running() {
		return errors.New("starting kube-apiserver: etcd is not running")
	}
	if cp.apiserver != nil && cp.apiserver.running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if cp.apiserverPort != 0 {
		return cp.startAPIServerOn(ctx, cp.apiserverPort)
	}
	return cp.onPort(hostAPIServerPort, func(port int) error { return cp.startAPIServerOn(ctx, port) })
}

func (cp *ControlPlane) startAPIServerOn(ctx context.Context, port int) error {
	apiserver, err := cp.launch(APIServer, cp.apiserverArgs(port))
	if err != nil {
		return err
	}
	ready := func(ctx context.Context) error { return cp.apiserverReady(ctx, port) }
	if err := apiserver.await(ctx, ready); err != nil {
		return failedStart(apiserver, err, port)
	}
	cp.apiserver, cp.apiserverPort = apiserver, port
	return nil
}

// StopAPIServer ends kube-apiserver: connections to its port are then refused. It does nothing if
// kube-apiserver does not run.
func (cp *ControlPlane) StopAPIServer() error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	defer cp.client.CloseIdleConnections()
	return cp.apiserver.stop()
}

// APIServerPID returns the process ID of kube-apiserver, in the PID namespace of this process; zero
// if none was started.
func (cp *ControlPlane) APIServerPID() int {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	if cp.apiserver == nil {
		return 0
	}
	return cp.apiserver.pid
}

// URL returns the apiserver's base URL. The URL stays the same when the apiserver stops and starts
// again.
func (cp *ControlPlane) URL() string {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	return cp.reachableURL(cp.apiserverPort)
}

// reachableURL returns the URL at which this process reaches an apiserver that serves on port.
func (cp *ControlPlane) reachableURL(port int) string {
	if cp.host != nil {
		port = cp.forwardPort
	}
	return apiserverURL(port)
}

func apiserverURL(port int) string { return "https://127.0.0.1:" + strconv.Itoa(port) }

func (cp *ControlPlane) apiserverArgs(port int) []string {
	args := []string{
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		"--tls-cert-file=" + cp.path(fileServingCert),
		"--tls-private-key-file=" + cp.path(fileServingKey),
		"--etcd-servers=" + etcdURL(cp.etcdPort),
		"--etcd-cafile=" + cp.path(fileCA),
		"--etcd-certfile=" + cp.path(fileClientCert),
		"--etcd-keyfile=" + cp.path(fileClientKey),
		"--kubelet-client-certificate=" + cp.path(fileClientCert),
		"--kubelet-client-key=" + cp.path(fileClientKey),
		"--client-ca-file=" + cp.path(fileCA),
		"--token-auth-file=" + cp.path(fileTokens),
		"--authorization-mode=Node,RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + cp.path(fileSigningKey),
		"--service-account-key-file=" + cp.path(fileVerifyKey),
		"--service-cluster-ip-range=10.96.0.0/16",
		// An endpoint on loopback would be refused, and nobody needs one.
		"--endpoint-reconciler-type=none",
		"--audit-policy-file=" + cp.path(fileAuditPolicy),
		"--audit-log-path=" + cp.path(fileAuditLog),
		"--audit-log-mode=blocking",
		"--audit-log-maxsize=0", // one file, never rotated: marks are offsets in it
		"--allow-privileged",    // as kubeadm has it, for node agents
		"--profiling=false",
		// By default the apiserver waits for open watches to end, which they never do.
		"--shutdown-watch-termination-grace-period=1s",
	}
	if !cp.options.ServiceAccountAdmission {
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	return append(args, cp.options.APIServerArgs...)
}

// apiserverReady also checks for the namespace default. The apiserver creates that on its own, but
// reports ready before, and a test that creates a Pod there at once would sometimes fail.
func (cp *ControlPlane) apiserverReady(ctx context.Context, port int) error {
	for _, path := range []string{"/readyz", "/api/v1/namespaces/default"} {
		url := cp.reachableURL(port) + path
		status, answer, err := do(ctx, cp.client, http.MethodGet, url, bearer(cp.adminToken), nil)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("%s: status %d: %s", path, status, answer)
		}
	}
	return nil
}
