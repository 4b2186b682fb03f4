package kube

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthentication "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

const (
	// maxCredentials bounds what a plugin may print, in bytes.
	maxCredentials = 256 << 10
	// maxPluginError bounds what an error quotes of a plugin's stderr, in bytes. Much more is read,
	// so that it is cut after the secrets are gone, and not within one.
	maxPluginError, maxPluginStderr = 1 << 10, 16 << 10
	// pluginGrace is how long a process that a plugin left behind can keep kactus waiting by
	// holding the plugin's stdout open.
	pluginGrace = time.Second
	// minPluginSecret is from which length on an argument or a variable of a plugin may be a
	// secret.
	minPluginSecret = 8
)

// An execPlugin gets credentials from a program that the kubeconfig names. The formats are those of
// client-go, but the program is run here: client-go bounds neither its time nor its output.
type execPlugin struct {
	config  *api.ExecConfig
	info    []byte // what the plugin is told, as JSON
	secrets *secrets
	turn    chan struct{} // has room for the one who may use the fields below
	last    *pluginCredentials
}

// pluginCredentials are what a plugin returned: a token, a client certificate, or both.
type pluginCredentials struct {
	token       string
	certificate *tls.Certificate
	expires     time.Time // zero: never
}

// checkExec returns an error if the plugin cannot be run. It makes the command a path, and the
// plugin one that is not interactive.
func checkExec(e *api.ExecConfig) error {
	if e == nil {
		return nil
	}
	const group = "client.authentication.k8s.io/"
	switch {
	case e.Command == "":
		return errors.New("exec.command: must be set")
	case e.APIVersion != group+"v1" && e.APIVersion != group+"v1beta1":
		return errors.New("exec.apiVersion: must be " + group + "v1 or " + group + "v1beta1")
	case e.InteractiveMode == api.AlwaysExecInteractiveMode:
		return errors.New("exec.interactiveMode: must not be Always, since kactus has no terminal")
	case slices.ContainsFunc(e.Env, func(v api.ExecEnvVar) bool { return v.Name == "" }):
		return errors.New("exec.env: has a variable without a name")
	}
	e.InteractiveMode = api.NeverExecInteractiveMode
	path, err := exec.LookPath(e.Command)
	if err != nil { // quotes the value
		return errors.New("exec.command: no such program, or one that cannot be executed")
	}
	e.Command = path
	return nil
}

// takePlugin makes the plugin kactus's own, unless there are other credentials: those come first,
// as in client-go.
func (config *clientConfig) takePlugin() error {
	e, r := config.rest.ExecProvider, config.rest
	config.rest.ExecProvider = nil
	if e == nil || config.token != "" || r.Username != "" || r.CertFile != "" || len(r.CertData) > 0 {
		return nil
	}
	info := clientauthentication.ExecCredential{
		TypeMeta: metav1.TypeMeta{APIVersion: e.APIVersion, Kind: "ExecCredential"},
	}
	if e.ProvideClusterInfo {
		withExec := *r
		withExec.ExecProvider = e
		cluster, err := rest.ConfigToExecCluster(&withExec)
		if err != nil {
			return err
		}
		info.Spec.Cluster = &clientauthentication.Cluster{}
		convert := clientauthentication.Convert_clientauthentication_Cluster_To_v1_Cluster
		if err := convert(cluster, info.Spec.Cluster, nil); err != nil {
			return err
		}
	}
	encoded, err := json.Marshal(info)
	config.plugin = &execPlugin{config: e, info: encoded, secrets: pluginSecrets(e), turn: make(chan struct{}, 1)}
	return err
}

// pluginSecrets returns what the kubeconfig passes to a plugin and may be secret.
func pluginSecrets(e *api.ExecConfig) *secrets {
	s := &secrets{}
	add := func(value string) {
		if len(value) >= minPluginSecret {
			s.add(value)
		}
	}
	for _, v := range e.Env {
		add(v.Value)
	}
	for _, arg := range e.Args {
		_, value, _ := strings.Cut(arg, "=")
		add(value)
		add(arg)
	}
	return s
}

// withPlugin adds a plugin's token to requests.
type withPlugin struct {
	http.RoundTripper
	plugin *execPlugin
}

// RoundTrip runs the plugin if its credentials have expired, within the time that the request has.
func (w *withPlugin) RoundTrip(req *http.Request) (*http.Response, error) {
	credentials, err := w.plugin.credentials(req.Context())
	if err != nil {
		closeBody(req)
		return nil, err
	}
	if credentials.token != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+credentials.token)
	}
	resp, err := w.RoundTripper.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		w.plugin.forget(credentials)
	}
	return resp, err
}

// WrappedRoundTripper is for closing idle connections.
func (w *withPlugin) WrappedRoundTripper() http.RoundTripper { return w.RoundTripper }

// credentials returns the last credentials, or new ones where they have expired. Only one request
// runs the plugin at a time. The error is a *pluginError.
func (p *execPlugin) credentials(ctx context.Context) (*pluginCredentials, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, p.fail(ctx, context.Cause(ctx))
	}
	if p.last != nil && (p.last.expires.IsZero() || time.Now().Before(p.last.expires)) {
		return p.last, nil
	}
	stdout, err := p.run(ctx)
	if err != nil {
		return nil, p.fail(ctx, err)
	}
	credentials, err := p.parse(stdout)
	if err != nil {
		return nil, p.fail(ctx, err)
	}
	p.last = credentials
	return credentials, nil
}

// forget has the plugin run again for the next request, because the apiserver rejects what it
// returned.
func (p *execPlugin) forget(credentials *pluginCredentials) {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if p.last == credentials {
		p.last.expires = time.Now()
	}
}

// certificate returns the client certificate for a connection, which withPlugin has got before.
func (p *execPlugin) certificate(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	credentials, err := p.credentials(info.Context())
	if err != nil || credentials.certificate == nil {
		return &tls.Certificate{}, err
	}
	return credentials.certificate, nil
}

// run returns what the plugin prints. When ctx ends, the plugin and all that it started are killed;
// when kactus dies, the plugin.
func (p *execPlugin) run(ctx context.Context) ([]byte, error) {
	stdout, stderr := limitedBuffer{max: maxCredentials, fails: true}, limitedBuffer{max: maxPluginStderr}
	cmd := exec.CommandContext(ctx, p.config.Command, p.config.Args...)
	cmd.Env = p.environ()
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pluginGrace
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case stdout.truncated: // and err is that the plugin could not go on
		return nil, fmt.Errorf("printed more than %d bytes", maxCredentials)
	case errors.Is(err, exec.ErrWaitDelay): // it succeeded, and left a process behind that has its stdout
	case err != nil:
		if words := p.words(stderr.data); words != "" {
			err = fmt.Errorf("%w: %s", err, words)
		}
		return nil, err
	}
	return stdout.data, nil
}

// words returns what an error quotes of the plugin's stderr, on one line.
func (p *execPlugin) words(stderr []byte) string {
	text := strings.Join(strings.Fields(p.secrets.redact(string(stderr))), " ")
	return text[:min(len(text), maxPluginError)]
}

// environ returns the environment of the plugin: that of kactus without the variables of the
// operation, which are no business of the plugin's, and those of the kubeconfig.
func (p *execPlugin) environ() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CNI_") })
	for _, v := range p.config.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	return append(env, "KUBERNETES_EXEC_INFO="+string(p.info))
}

// parse parses what the plugin printed, which no error quotes.
func (p *execPlugin) parse(stdout []byte) (*pluginCredentials, error) {
	var answer clientauthentication.ExecCredential
	if json.Unmarshal(stdout, &answer) != nil && yaml.Unmarshal(stdout, &answer) != nil {
		return nil, errors.New("printed no ExecCredential")
	}
	if answer.Kind != "ExecCredential" || answer.APIVersion != p.config.APIVersion {
		return nil, fmt.Errorf("printed no ExecCredential of the exec.apiVersion, %s", p.config.APIVersion)
	}
	if answer.Status == nil {
		return nil, errors.New("printed an ExecCredential without a status")
	}
	status := *answer.Status
	if status.Token == "" && status.ClientCertificateData == "" && status.ClientKeyData == "" {
		return nil, errors.New("printed neither a token nor a client certificate")
	}
	credentials := &pluginCredentials{token: status.Token}
	if status.ExpirationTimestamp != nil {
		credentials.expires = status.ExpirationTimestamp.Time
	}
	if status.ClientCertificateData != "" || status.ClientKeyData != "" {
		pair, err := tls.X509KeyPair([]byte(status.ClientCertificateData), []byte(status.ClientKeyData))
		if err != nil {
			return nil, fmt.Errorf("status.clientCertificateData, status.clientKeyData: %w", err)
		}
		credentials.certificate = &pair
	}
	return credentials, checkToken("status.token", status.Token)
}

// fail returns err as an error of the plugin. It passes if it is that the time is over.
func (p *execPlugin) fail(ctx context.Context, err error) error {
	return &pluginError{name: filepath.Base(p.config.Command), late: ctx.Err() != nil, error: err}
}

// A pluginError says why there are no credentials for a request.
type pluginError struct {
	name string
	late bool // the plugin did not end in time
	error
}

// Error names the plugin.
func (p *pluginError) Error() string {
	return "get credentials from the exec plugin " + p.name + ": " + p.error.Error()
}

// Unwrap returns the cause.
func (p *pluginError) Unwrap() error { return p.error }

// A limitedBuffer keeps the first max bytes written to it. It fails at the rest, which ends the
// writer, or else discards it.
type limitedBuffer struct {
	max       int
	fails     bool
	data      []byte
	truncated bool
}

// Write implements io.Writer.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	kept := p[:min(len(p), b.max-len(b.data))]
	b.data = append(b.data, kept...)
	b.truncated = b.truncated || len(kept) < len(p)
	if b.truncated && b.fails {
		return len(kept), errTooLarge
	}
	return len(p), nil
}
