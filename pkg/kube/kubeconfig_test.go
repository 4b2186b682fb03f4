package kube

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNew_InvalidKubeconfigIsNotQuoted(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := func(cluster, user string) string {
		return "apiVersion: v1\nkind: Config\ncurrent-context: c\n" +
			"clusters: [{name: c, cluster: {" + cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]\n" +
			"contexts: [{name: c, context: {cluster: c, user: u}}]\n"
	}
	const (
		local = `server: "https://127.0.0.1"`
		// notPEM is base64 of what must not be quoted.
		notPEM = "czNjcjN0LXQwazNu"
		bearer = "token: " + token
	)
	for name, path := range map[string]string{
		"missing":             filepath.Join(dir, "missing"),
		"a directory":         dir,
		"not YAML":            write("garbage", "token: "+token+"\n\t: ["),
		"the token alone":     write("token", token),
		"another kind":        write("kind", "apiVersion: v1\nkind: "+token+"\n"),
		"a wrong type":        write("type", "apiVersion: v1\nkind: Config\nusers: "+token+"\n"),
		"a wrong nested type": write("inside", whole("server: [https://127.0.0.1]", "token: ["+token+"]")),
		"empty":               write("empty", ""),
		"a wrong server":      write("server", whole(`server: "https://127.0.0.1:port"`, bearer)),
		"a wrong authority":   write("authority", whole(local+", certificate-authority-data: "+notPEM, bearer)),
		"a wrong certificate": write("certificate", whole(local, "client-certificate-data: "+notPEM+
			", client-key-data: "+notPEM)),
		"not base64":             write("base64", whole(local+`, certificate-authority-data: "`+token+`!"`, bearer)),
		"no such context":        write("context", "apiVersion: v1\nkind: Config\ncurrent-context: nowhere\n"),
		"a missing file":         write("file", whole(local+", certificate-authority: /nowhere/ca.pem", bearer)),
		"a password in a URL":    write("url", whole(`server: "https://u:`+token+`@127.0.0.1:port"`, "token: t")),
		"an invalid URL":         write("nourl", whole(`server: "u:`+token+`@127.0.0.1:1:2"`, "token: t")),
		"a password of a proxy":  write("proxy", whole(local+`, proxy-url: "http://u:`+token+`@127.0.0.1:port"`, "")),
		"a user in the server":   write("user", whole(`server: "https://u:`+token+`@127.0.0.1"`, "token: t")),
		"a token and a password": write("two", whole(local, bearer+", username: u, password: "+token)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(path, "kactus/test")
			if err == nil {
				t.Fatal("got no error")
			}
			if failed := failure(t, err); failed.Temporary() || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
			if strings.Contains(err.Error(), token) || strings.Contains(err.Error(), notPEM) {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

func TestNew_MissingKubeconfig(t *testing.T) {
	if _, err := New("/nowhere/kubeconfig", "kactus/test"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestNew_DefaultsToInClusterCredentials(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", "/root/.kube/config") // kactus does not read it
	_, err := New("", "kactus/test")
	if failed := failure(t, err); failed.Temporary() || !strings.Contains(err.Error(), "in-cluster credentials") {
		t.Errorf("got %v", err)
	}
}

func TestReadKubeconfig_CurrentContext(t *testing.T) {
	dir := t.TempDir()
	_, authority := selfSigned(t, valid())
	for name, content := range map[string][]byte{"token": []byte("from-a-file\n"), "ca.crt": authority} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(cluster, user string) clientConfig {
		t.Helper()
		path := filepath.Join(dir, "kubeconfig")
		text := "current-context: here\n" +
			"contexts:\n- {name: there, context: {cluster: other, user: other}}\n" +
			"- {name: here, context: {cluster: c, user: u}}\n" +
			"clusters: [{name: other, cluster: {server: 'https://other'}}, {name: c, cluster: {" + cluster + "}}]\n" +
			"users: [{name: other, user: {token: other}}, {name: u, user: {" + user + "}}]\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := readKubeconfig(path)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}

	a := read("server: 'https://10.0.0.1:6443/prefix', certificate-authority: ca.crt, tls-server-name: kubernetes, "+
		"proxy-url: 'socks5://127.0.0.1:1'", "token: not-this, tokenFile: token")
	if a.server.String() != "https://10.0.0.1:6443/prefix" || a.proxy.String() != "socks5://127.0.0.1:1" ||
		a.rest.CAFile != filepath.Join(dir, "ca.crt") || a.rest.ServerName != "kubernetes" ||
		a.token != "from-a-file" || a.rest.BearerTokenFile != filepath.Join(dir, "token") {
		t.Errorf("got %+v", a)
	}
	a = read("server: 'https://[::1]', insecure-skip-tls-verify: true",
		"client-certificate-data: QQ==, client-key-data: Qg==")
	if !a.rest.Insecure || string(a.rest.CertData) != "A" || string(a.rest.KeyData) != "B" || a.token != "" {
		t.Errorf("got %+v", a)
	}
	a = read("server: 'https://127.0.0.1:8080'", "username: me, password: mine")
	if a.rest.Username != "me" || a.rest.Password != "mine" {
		t.Errorf("got %+v", a)
	}
}

func TestNew_NoAuthProvider(t *testing.T) {
	path := configWith(t, "server: 'https://c'", "auth-provider: {name: oidc}")
	if _, err := New(path, "kactus/test"); !strings.Contains(failure(t, err).Error(), "auth-provider: ") {
		t.Errorf("got %v", err)
	}
}

func TestKubeconfig_RoundTrip(t *testing.T) {
	_, authority := selfSigned(t, valid())
	content, err := Kubeconfig("https://[fd00::1]:443", authority, token)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Token(path); err != nil || got != token {
		t.Errorf("Token: got %q, %v", got, err)
	}
	a, err := readKubeconfig(path)
	if err != nil || a.server.Host != "[fd00::1]:443" || !bytes.Equal(a.rest.CAData, authority) || a.token != token {
		t.Errorf("got %+v, %v", a, err)
	}
}
