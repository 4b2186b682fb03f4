package faults

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// A proxy stands in front of the real apiserver and forwards requests, except for the fault that it
// has until endFault.
type proxy struct {
	fault     apiFault
	authority *authority
	socket    int
	address   string
	apiserver http.Handler

	ended atomic.Bool
	// connections counts all that were accepted, and met how often the fault occurred.
	connections, met atomic.Int32
}

// newProxy returns a proxy with the fault.
func newProxy(t *testing.T, fault apiFault) *proxy {
	t.Helper()
	authority, err := newAuthority()
	kactustest.Must(t, err)
	f := &proxy{fault: fault, authority: authority, apiserver: apiserver(t)}
	f.socket, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	kactustest.Must(t, err)
	kactustest.Must(t, unix.Bind(f.socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, err := unix.Getsockname(f.socket)
	kactustest.Must(t, err)
	f.address = fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
	if fault.down {
		t.Cleanup(func() {
			if !f.ended.Load() {
				unix.Close(f.socket)
			}
		})
	} else {
		f.serve(t)
	}
	return f
}

// apiserver returns a handler that forwards requests to the real apiserver.
func apiserver(t *testing.T) http.Handler {
	t.Helper()
	target, err := url.Parse(kactustest.ControlPlane().URL())
	kactustest.Must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(kactustest.ControlPlane().CAPEM())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
}

// endFault ends the fault.
func (f *proxy) endFault(t *testing.T) {
	t.Helper()
	f.ended.Store(true)
	if f.fault.down {
		f.serve(t)
	}
}

// serve listens at the address that was bound before, where connections were refused until now.
func (f *proxy) serve(t *testing.T) {
	t.Helper()
	kactustest.Must(t, unix.Listen(f.socket, 128))
	file := os.NewFile(uintptr(f.socket), f.address)
	listener, err := net.FileListener(file)
	kactustest.Must(t, err)
	kactustest.Must(t, file.Close())
	server := &http.Server{
		Handler:   f,
		TLSConfig: &tls.Config{GetCertificate: f.certificate},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connection{},
				c)
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { _ = server.ServeTLS(&gatedListener{Listener: listener, proxy: f}, "", "") }()
	t.Cleanup(func() { server.Close() })
}

// connection is the context key of a request's connection.
type connection struct{}

// A gatedListener holds connections back while the fault is that nobody answers.
type gatedListener struct {
	net.Listener
	proxy *proxy
	held  []net.Conn
}

func (d *gatedListener) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		d.proxy.connections.Add(1)
		if !d.proxy.fault.silent || d.proxy.ended.Load() {
			return conn, nil
		}
		d.proxy.met.Add(1)
		d.held = append(d.held, conn)
	}
}

func (d *gatedListener) Close() error {
	for _, conn := range d.held {
		conn.Close()
	}
	return d.Listener.Close()
}

func (f *proxy) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if f.fault.certificate != nil && !f.ended.Load() {
		f.met.Add(1)
		return f.fault.certificate(f.authority)
	}
	return f.authority.issue(nil)
}

func (f *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.fault.answer != nil && !f.ended.Load() && strings.Contains(r.URL.Path, f.fault.path) {
		f.met.Add(1)
		f.fault.answer(w, r, f.apiserver)
		return
	}
	f.apiserver.ServeHTTP(w, r)
}

// kubeconfig writes a copy of the kubeconfig at path for the proxy, and returns its path.
func (f *proxy) kubeconfig(t *testing.T, path string) string {
	t.Helper()
	config, err := os.ReadFile(path)
	kactustest.Must(t, err)
	encoded := base64.StdEncoding.EncodeToString
	text := kactustest.ReplaceServer(string(config), "https://"+f.address)
	text = strings.Replace(text, encoded(kactustest.ControlPlane().CAPEM()), encoded(f.authority.pem), 1)
	path = filepath.Join(t.TempDir(), "kubeconfig")
	kactustest.Must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// An authority signs the certificates of a proxy.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().AddDate(0, 0, -2), NotAfter: time.Now().AddDate(0, 0, 2),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &authority{certificate: certificate, key: key,
		pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, err
}

// issue returns the certificate of a proxy after change, if not nil, has changed it.
func (a *authority) issue(change func(*x509.Certificate)) (*tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().AddDate(0, 0, -1), NotAfter: time.Now().AddDate(0, 0, 1),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, a.key.Public(), a.key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}, err
}
