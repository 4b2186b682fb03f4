package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// authority is the control plane's certificate authority. Its key never leaves the process: all
// certificates are issued once, at the start.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// keyPair is a certificate and its key, PEM-encoded.
type keyPair struct{ certificate, key []byte }

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := newTemplate(pkix.Name{CommonName: "kactus test authority"})
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key, pem: encode("CERTIFICATE", der)}, nil
}

// serving issues a certificate for a server with these addresses and names.
func (a *authority) serving(ips []net.IP, names ...string) (keyPair, error) {
	template, err := newTemplate(pkix.Name{CommonName: "control plane"})
	if err != nil {
		return keyPair{}, err
	}
	template.IPAddresses, template.DNSNames = ips, names
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return a.issue(template)
}

// client issues the certificate by which a client is known as a user.
func (a *authority) client(user string, groups ...string) (keyPair, error) {
	template, err := newTemplate(pkix.Name{CommonName: user, Organization: groups})
	if err != nil {
		return keyPair{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(template)
}

func (a *authority) issue(template *x509.Certificate) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return keyPair{}, err
	}
	private, err := encodeKey(key)
	return keyPair{certificate: encode("CERTIFICATE", der), key: private}, err
}

// newTemplate returns a certificate template. The certificate is valid since an hour ago, for
// virtual machines with a slow clock.
func newTemplate(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}, nil
}

// newSigningKey makes the key pair that signs and verifies service account tokens.
func newSigningKey() (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if private, err = encodeKey(key); err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return private, encode("PUBLIC KEY", der), err
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return encode("EC PRIVATE KEY", der), err
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// writePKI creates all certificates and keys of the control plane. It returns the authority's
// certificate and the client certificate for etcd, which this process needs too.
func (cp *ControlPlane) writePKI() (ca []byte, client keyPair, err error) {
	authority, err := newAuthority()
	if err != nil {
		return nil, keyPair{}, fmt.Errorf("making a certificate authority: %w", err)
	}
	addresses := append([]net.IP{net.IPv4(127, 0, 0, 1)}, cp.options.ExtraIPs...)
	serving, err := authority.serving(addresses, "localhost", "kubernetes", "kubernetes.default",
		"kubernetes.default.svc")
	if err != nil {
		return nil, keyPair{}, fmt.Errorf("issuing the serving certificate: %w", err)
	}
	if client, err = authority.client("kube-apiserver", "system:masters"); err != nil {
		return nil, keyPair{}, fmt.Errorf("issuing the apiserver's client certificate: %w", err)
	}
	cp.users = map[string]keyPair{}
	for _, user := range cp.options.Users {
		if cp.users[user.Name], err = authority.client(user.Name, user.Groups...); err != nil {
			return nil, keyPair{}, fmt.Errorf("issuing the certificate of the user %s: %w", user.Name, err)
		}
	}
	private, public, err := newSigningKey()
	if err != nil {
		return nil, keyPair{}, fmt.Errorf("making the service account key: %w", err)
	}
	for name, content := range map[string][]byte{
		fileCA:          authority.pem,
		fileServingCert: serving.certificate, fileServingKey: serving.key,
		fileClientCert: client.certificate, fileClientKey: client.key,
		fileSigningKey: private, fileVerifyKey: public,
	} {
		if err := os.WriteFile(cp.path(name), content, 0o600); err != nil {
			return nil, keyPair{}, err
		}
	}
	return authority.pem, client, nil
}

// ClientCertificate returns the certificate by which the apiserver knows one of Options.Users, and
// its key, in PEM.
func (cp *ControlPlane) ClientCertificate(user string) (certificate, key []byte) {
	pair := cp.users[user]
	return pair.certificate, pair.key
}
