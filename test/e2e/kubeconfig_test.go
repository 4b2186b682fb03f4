package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// kubeconfig writes a kubeconfig with the keys of a cluster and a user, as YAML, and returns its
// path. A user of "" is none.
func kubeconfig(t *testing.T, tn *kactustest.Tenant, cluster, user string) string {
	t.Helper()
	context := "cluster: c, user: u"
	if user == "" {
		context = "cluster: c"
	}
	path := filepath.Join(tn.Dir, "any.kubeconfig")
	kactustest.Must(t, os.WriteFile(path, fmt.Appendf(nil, "apiVersion: v1\nkind: Config\ncurrent-context: x\n"+
		"clusters: [{name: c, cluster: {%s}}]\nusers: [{name: u, user: {%s}}]\ncontexts: [{name: x, context: {%s}}]\n",
		cluster, user, context), 0o600))
	return path
}

// clusterAt returns the keys of the cluster at an address, with its authority.
func clusterAt(server string) string {
	authority := base64.StdEncoding.EncodeToString(kactustest.ControlPlane().CAPEM())
	return fmt.Sprintf("server: %q, certificate-authority-data: %s", server, authority)
}

// theCluster returns the keys of the cluster at the apiserver's own address.
func theCluster() string { return clusterAt(kactustest.ControlPlane().URL()) }

const nodeUser = "token: " + kactustest.NodeToken

// address returns the host and the port of the apiserver.
func address(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(kactustest.ControlPlane().URL())
	kactustest.Must(t, err)
	return u.Host
}

// expectAdd runs ADD and DEL of a Pod with one network, both of which must succeed.
func expectAdd(t *testing.T, tn *kactustest.Tenant) {
	t.Helper()
	p := tn.NewPod(t, `[{"name":"green"}]`)
	p.Add(t)
	p.ExpectInterfaces(t, "eth0", kactustest.IfName("green"))
	p.Del(t)
	p.ExpectGone(t)
}

// expectAddError runs ADD of a Pod, which must fail with the code and the words.
func expectAddError(t *testing.T, tn *kactustest.Tenant, code uint, words ...string) {
	t.Helper()
	p := tn.NewPod(t, `[{"name":"green"}]`)
	kactustest.ExpectError(t, p.AddError(t), code, words...)
	p.ExpectGone(t)
}

func newTenantWithGreen(t *testing.T) *kactustest.Tenant {
	t.Helper()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	return tn
}

func TestKubeconfig_ExecPlugin(t *testing.T) {
	t.Parallel()
	tn := newTenantWithGreen(t)
	// A path with a slash is below the kubeconfig's directory.
	const user = "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./get-credentials, " +
		"interactiveMode: IfAvailable, provideClusterInfo: true, " +
		"env: [{name: TOKEN, value: " + kactustest.NodeToken + "}]}"
	tn.Conf.Kubeconfig = kubeconfig(t, tn, theCluster(), user)
	plugin := func(script string) {
		path := filepath.Join(tn.Dir, "get-credentials")
		kactustest.Must(t, os.WriteFile(path+".new", []byte("#!/bin/sh\n"+script), 0o700))
		kactustest.Must(t, os.Rename(path+".new", path))
	}
	const answer = `printf '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": %s}' `
	t.Run("that is missing is an error at once, and of a STATUS", func(t *testing.T) {
		expectAddError(t, tn, 100, tn.Conf.Kubeconfig, "exec.command")
		conf := tn.Conf
		defer func() { tn.Conf = conf }()
		tn.Conf.CNIVersion = "1.1.0"
		kactustest.ExpectError(t, kactustest.CNIError(t, tn.Status(t)), 50, "exec.command")
	})
	t.Run("returns a token", func(t *testing.T) {
		plugin(answer + `"{\"token\": \"$TOKEN\"}"`)
		expectAdd(t, tn)
	})
	t.Run("returns a client certificate", func(t *testing.T) {
		certificate, key := kactustest.ControlPlane().ClientCertificate("node")
		plugin(answer + fmt.Sprintf("'{\"clientCertificateData\": %q, \"clientKeyData\": %q}'", certificate, key))
		expectAdd(t, tn)
	})
	t.Run("returns a token that is not known", func(t *testing.T) {
		plugin(answer + `'{"token": "unknown"}'`)
		expectAddError(t, tn, 100, "401")
	})
	t.Run("fails", func(t *testing.T) {
		plugin("echo the role $TOKEN is unknown >&2; exit 4")
		expectAddError(t, tn, 100, "get-credentials: exit status 4: the role (redacted) is unknown")
	})
	pids := filepath.Join(tn.Dir, "pids")
	// expectEnded fails unless the processes that the plugin noted end.
	expectEnded := func(t *testing.T) {
		t.Helper()
		content, err := os.ReadFile(pids)
		kactustest.Must(t, err)
		for _, pid := range strings.Fields(string(content)) {
			kactustest.Eventually(t, "process "+pid+" of the plugin ends", func() bool {
				stat, err := os.ReadFile("/proc/" + pid + "/stat")
				return err != nil || strings.Contains(string(stat), ") Z ")
			})
		}
		kactustest.Must(t, os.Remove(pids))
	}
	t.Run("ends with a kactus that is killed", func(t *testing.T) {
		plugin("echo $$ > " + pids + ".new; mv " + pids + ".new " + pids + "; exec sleep 300")
		p := tn.NewPod(t, `[]`)
		add := p.Start(t, "ADD", tn.Conf, p.Runtime())
		kactustest.Eventually(t, "the plugin runs", func() bool {
			_, err := os.Stat(pids)
			return err == nil
		})
		add.Signal(t, syscall.SIGKILL)
		kactustest.Eventually(t, "kactus ends", add.Ended)
		expectEnded(t)
		p.ExpectGone(t)
	})
	t.Run("does not end", func(t *testing.T) {
		plugin("sleep 300 & echo $$ $! > " + pids + "; wait")
		tn.Conf.APITimeout = "1s"
		begin := time.Now()
		expectAddError(t, tn, 11, "get-credentials")
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("the ADD took %s", took)
		}
		expectEnded(t)
	})
}

func TestKubeconfig_TokenFile(t *testing.T) {
	t.Parallel()
	tn := newTenantWithGreen(t)
	tn.Conf.Kubeconfig = kubeconfig(t, tn, theCluster(), "tokenFile: token")
	write := func(content string) {
		kactustest.Must(t, os.WriteFile(filepath.Join(tn.Dir, "token"), []byte(content), 0o600))
	}
	write("expired\n")
	expectAddError(t, tn, 100, "401")
	write(kactustest.NodeToken + "\n")
	expectAdd(t, tn)
	write(kactustest.NodeToken + "\n" + kactustest.NodeToken)
	expectAddError(t, tn, 100, "tokenFile: ")
}

// certificateUser returns the keys of a user with a client certificate.
func certificateUser(certificate, key []byte) string {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("client-certificate-data: %s, client-key-data: %s", encode(certificate), encode(key))
}

func TestKubeconfig_ClientCertificate(t *testing.T) {
	t.Parallel()
	tn := newTenantWithGreen(t)
	certificate, key := kactustest.ControlPlane().ClientCertificate("node")
	t.Run("in the kubeconfig", func(t *testing.T) {
		tn.Conf.Kubeconfig = kubeconfig(t, tn, theCluster(), certificateUser(certificate, key))
		expectAdd(t, tn)
	})
	t.Run("in files", func(t *testing.T) {
		for name, content := range map[string][]byte{"crt": certificate, "key": key,
			"ca": kactustest.ControlPlane().CAPEM()} {
			kactustest.Must(t, os.WriteFile(filepath.Join(tn.Dir, name), content, 0o600))
		}
		cluster := fmt.Sprintf("server: %q, certificate-authority: ca", kactustest.ControlPlane().URL())
		tn.Conf.Kubeconfig = kubeconfig(t, tn, cluster, "client-certificate: crt, client-key: key")
		expectAdd(t, tn)
	})
	t.Run("of a user without rights", func(t *testing.T) {
		certificate, key := kactustest.ControlPlane().ClientCertificate("stranger")
		tn.Conf.Kubeconfig = kubeconfig(t, tn, theCluster(), certificateUser(certificate, key))
		expectAddError(t, tn, 100, "403", `"stranger"`)
	})
}

// join copies between two connections until one ends.
func join(a, b net.Conn) {
	go func() {
		_, _ = io.Copy(a, b)
		a.Close()
	}()
	_, _ = io.Copy(b, a)
	b.Close()
}

func TestKubeconfig_ProxyURL(t *testing.T) {
	t.Parallel()
	const password = "pr0xy-p4ssword"
	var connects atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		basic := base64.StdEncoding.EncodeToString([]byte("user:" + password))
		if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != "Basic "+basic {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		connects.Add(1)
		server, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			server.Close()
			return
		}
		_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
		join(client, server)
	}))
	defer proxy.Close()
	host := proxy.Listener.Addr().String()
	tn := newTenantWithGreen(t)
	through := func(credentials string) string {
		cluster := fmt.Sprintf("%s, proxy-url: %q", theCluster(), "http://"+credentials+"@"+host)
		return kubeconfig(t, tn, cluster, nodeUser)
	}
	tn.Conf.Kubeconfig = through("user:" + password)
	expectAdd(t, tn)
	if connects.Load() != 1 {
		t.Errorf("the proxy connected %d times, want once", connects.Load())
	}
	tn.Conf.Kubeconfig = through("user:wrong")
	expectAddError(t, tn, 100, "the proxy "+host+" answered CONNECT with 407")
}

func TestKubeconfig_TLSServerName(t *testing.T) {
	t.Parallel()
	// The apiserver's certificate does not have this address.
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	kactustest.Must(t, err)
	defer listener.Close()
	apiserver := address(t)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", apiserver)
			if err != nil {
				client.Close()
				continue
			}
			go join(client, server)
		}
	}()
	tn := newTenantWithGreen(t)
	cluster := clusterAt("https://" + listener.Addr().String())
	tn.Conf.Kubeconfig = kubeconfig(t, tn, cluster, nodeUser)
	expectAddError(t, tn, 100, "127.0.0.2")
	tn.Conf.Kubeconfig = kubeconfig(t, tn, cluster+", tls-server-name: kubernetes.default.svc", nodeUser)
	expectAdd(t, tn)
	tn.Conf.Kubeconfig = kubeconfig(t, tn, cluster+", tls-server-name: elsewhere", nodeUser)
	expectAddError(t, tn, 100, "elsewhere")
}

func TestKubeconfig_NoUser(t *testing.T) {
	t.Parallel()
	tn := newTenantWithGreen(t)
	tn.Conf.Kubeconfig = kubeconfig(t, tn, theCluster(), "")
	t.Run("may do nothing", func(t *testing.T) {
		expectAddError(t, tn, 100, "403", "system:anonymous")
	})
	t.Run("may do what RBAC allows", func(t *testing.T) {
		ctx := t.Context()
		_, err := kactustest.Kubectl(ctx, "", "-n", tn.Namespace, "create", "rolebinding", "anonymous",
			"--clusterrole=kactus", "--user=system:anonymous")
		kactustest.Must(t, err)
		kactustest.Eventually(t, "the apiserver knows the right", func() bool {
			// Without the group, the question itself is not allowed.
			out, _ := kactustest.Kubectl(ctx, "", "-n", tn.Namespace, "auth", "can-i", "get", "pods",
				"--as=system:anonymous", "--as-group=system:authenticated")
			return strings.TrimSpace(out) == "yes"
		})
		expectAdd(t, tn)
	})
}

func TestKubeconfig_ServerWithoutAScheme(t *testing.T) {
	t.Parallel()
	tn := newTenantWithGreen(t)
	tn.Conf.Kubeconfig = kubeconfig(t, tn, clusterAt(address(t)), nodeUser)
	expectAdd(t, tn)
}
