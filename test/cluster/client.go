package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
)

// Do sends a request to the apiserver as the administrator, and returns the status and
// the body of the answer, whatever the status. The path begins with a slash and may
// carry a query. The body, if not nil, is of contentType; empty means JSON.
func (cp *ControlPlane) Do(ctx context.Context, method, path, contentType string, body []byte) (status int, answer []byte, err error) {
	header := bearer(cp.adminToken)
	if contentType == "" {
		contentType = "application/json"
	}
	if body != nil {
		header.Set("Content-Type", contentType)
	}
	status, answer, err = do(ctx, cp.client, method, cp.URL()+path, header, body)
	if err != nil {
		return 0, nil, fmt.Errorf("asking the apiserver: %w", err)
	}
	return status, answer, nil
}

// Kubectl returns a command that runs kubectl as the administrator. It is the built
// kubectl, or the one in PATH if Options.Binaries holds none; it leaves nothing outside
// the state folder.
func (cp *ControlPlane) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	binary := cp.options.Binaries[Kubectl]
	if binary == "" {
		binary = string(Kubectl)
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	err := cp.WriteKubeconfig(cp.path(fileKubeconfig), cp.adminToken)
	cmd.Err = errors.Join(cmd.Err, err)
	cmd.Env = append(cmd.Environ(),
		"KUBECONFIG="+cp.path(fileKubeconfig),
		"KUBECACHEDIR="+cp.path(folderKubectl),
		"KUBERC=off", // the user's own preferences are none of ours
	)
	return cmd
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

// newClient returns a client that trusts this authority alone, and shows a certificate
// and dials in a way of its own if it is given one. It goes through no proxy: everything is on loopback.
func newClient(ca []byte, certificate *keyPair, dial dialFunc) (*http.Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the authority's certificate is not PEM")
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if certificate != nil {
		pair, err := tls.X509KeyPair(certificate.certificate, certificate.key)
		if err != nil {
			return nil, fmt.Errorf("reading a client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DialContext: dial}}, nil
}

func do(ctx context.Context, client *http.Client, method, url string, header http.Header, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("reading the answer to %s %s: %w", method, url, err)
	}
	return response.StatusCode, answer, nil
}
