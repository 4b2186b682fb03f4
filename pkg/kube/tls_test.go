package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPod_DoesNotRetryTLSErrors(t *testing.T) {
	for name, c := range map[string]struct {
		certificate x509.Certificate
		modify      func(*tls.Config)
		trusted     bool
		want        string
		// late says that the server rejects the connection after the handshake, so that a request
		// may see the connection end before the alert.
		late bool
	}{
		"an unknown authority":   {valid(), nil, false, "signed by unknown authority", false},
		"an expired certificate": {expired(), nil, true, "expired", false},
		"another name":           {forName("elsewhere.example"), nil, true, "127.0.0.1", false},
		"a required client certificate": {valid(), func(c *tls.Config) {
			c.ClientAuth = tls.RequireAnyClientCert
		}, true, "certificate required", true},
		"an old TLS version": {valid(), func(c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		}, true, "protocol version", false},
	} {
		t.Run(name, func(t *testing.T) {
			url, ca, connections := serveTLS(t, c.certificate, c.modify)
			if !c.trusted {
				_, other := selfSigned(t, valid())
				ca = other
			}
			_, err := newClient(t, writeKubeconfig(t, url, ca)).Pod(within(t, 20*time.Second), "tenant", "app")
			failed := failure(t, err)
			if failed.Temporary() || failed.Tries > 1 && !c.late ||
				!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), podPath) {
				t.Errorf("tries %d, temporary %v: %v", failed.Tries, failed.Temporary(), err)
			}
			if n := connections.Load(); n > 2 && !c.late { // net/http may repeat a request after its connection ended
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestPod_HTTPOnTheHTTPSPort(t *testing.T) {
	var requests atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer s.Close()
	_, ca := selfSigned(t, valid())
	c := newClient(t, writeKubeconfig(t, strings.Replace(s.URL, "http:", "https:", 1), ca))
	_, err := c.Pod(within(t, 2*time.Second), "tenant", "app")
	if failed := failure(t, err); failed.Temporary() || failed.Tries != 1 || requests.Load() != 0 {
		t.Errorf("%+v", failed)
	}
}

func TestPod_HTTPSOnTheHTTPPort(t *testing.T) {
	s := serve(t, object)
	c := newClient(t, s.kubeconfig(t, strings.Replace(s.URL, "https:", "http:", 1)))
	_, err := c.Pod(within(t, 2*time.Second), "tenant", "app")
	if failed := failure(t, err); failed.Temporary() || failed.Tries != 1 || failed.Status != http.StatusBadRequest {
		t.Errorf("%+v", failed)
	}
}

func valid() x509.Certificate {
	return x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "apiserver"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
}

func expired() x509.Certificate {
	c := valid()
	c.NotAfter = time.Now().Add(-time.Minute)
	return c
}

func forName(name string) x509.Certificate {
	c := valid()
	c.IPAddresses, c.DNSNames = nil, []string{name}
	return c
}

func serveTLS(
	t *testing.T, template x509.Certificate, modify func(*tls.Config),
) (url string, ca []byte, connections *atomic.Int32) {
	t.Helper()
	certificate, ca := selfSigned(t, template)
	s := httptest.NewUnstartedServer(http.HandlerFunc(object))
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	if modify != nil {
		modify(s.TLS)
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	connections = &atomic.Int32{}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, ca, connections
}

func selfSigned(t *testing.T, template x509.Certificate) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// keyPairPEM returns a certificate and its key.
func keyPairPEM(t *testing.T) (certificate, key []byte) {
	t.Helper()
	pair, certificate := selfSigned(t, valid())
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
