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
	"strings"
)

// Do sends a request to the apiserver as the administrator, and returns the status and the body of
// the response, whatever the status. The path begins with a slash and may contain a query.
// contentType is that of the body; empty means JSON.
func (cp *ControlPlane) Do(
	ctx context.Context, method, path, contentType string, body []byte,
) (status int, answer []byte, err error) {
	header := bearer(cp.adminToken)
	if contentType == "" {
		contentType = "application/json"
	}
	if body != nil {
		header.Set("Content-Type", contentType)
	}
	status, answer, err = do(ctx, cp.client, method, cp.URL()+path, header, body)
	if err != nil {
		return 0, nil, fmt.Errorf("sending a request to the apiserver: %w", err)
	}
	return status, answer, nil
}

// Kubectl returns a command that runs kubectl as the administrator. It is the built kubectl, or the
// one in PATH if Options.Binaries has none. It writes nothing outside the state directory.
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
		"KUBECACHEDIR="+cp.path(dirKubectl),
		"KUBERC=off", // ignore the user's own preferences
	)
	return cmd
}

// RunKubectl runs kubectl as the administrator, with stdin as its input, and returns what kubectl
// writes to standard output. An error quotes standard error too.
func (cp *ControlPlane) RunKubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := cp.Kubectl(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		err = fmt.Errorf("running kubectl %s: %w\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
		return stdout.String(), err
	}
	return stdout.String(), nil
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

// newClient returns a client that trusts only the certificate authority ca. certificate and dial
// may be nil. The client uses no proxy: everything is on loopback.
func newClient(ca []byte, certificate *keyPair, dial dialFunc) (*http.Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("parsing the authority's certificate: not PEM")
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if certificate != nil {
		pair, err := tls.X509KeyPair(certificate.certificate, certificate.key)
		if err != nil {
			return nil, fmt.Errorf("parsing a client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	// As many requests at once as tests send, without a new connection for each.
	const idle = 32
	transport := &http.Transport{TLSClientConfig: config, DialContext: dial, MaxIdleConnsPerHost: idle}
	return &http.Client{Transport: transport}, nil
}

func do(
	ctx context.Context, client *http.Client, method, url string, header http.Header, body []byte,
) (status int, answer []byte, err error) {
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
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("reading the response to %s %s: %w", method, url, err)
	}
	return response.StatusCode, answer, nil
}
