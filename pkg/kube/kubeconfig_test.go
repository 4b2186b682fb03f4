package kube

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAKubeconfigThatCannotBeUsedIsAnErrorThatDoesNotQuoteIt(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := func(cluster, user string) string {
		return "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {" + cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]\n" +
			"contexts: [{name: c, context: {cluster: c, user: u}}]\n"
	}
	for name, path := range map[string]string{
		"missing":              filepath.Join(dir, "missing"),
		"a folder":             dir,
		"not YAML":             write("garbage", "token: "+token+"\n\t: ["),
		"the token alone":      write("token", token),
		"of another kind":      write("kind", "apiVersion: v1\nkind: "+token+"\n"),
		"a wrong type":         write("type", "apiVersion: v1\nkind: Config\nusers: "+token+"\n"),
		"a wrong type inside":  write("inside", whole("server: [https://127.0.0.1]", "token: ["+token+"]")),
		"empty":                write("empty", ""),
		"a wrong server":       write("server", whole(`server: "https://127.0.0.1:port"`, "token: "+token)),
		"a wrong authority":    write("authority", whole(`server: "https://127.0.0.1", certificate-authority-data: `+"czNjcjN0LXQwazNu", "token: "+token)),
		"a wrong certificate":  write("certificate", whole(`server: "https://127.0.0.1"`, "client-certificate-data: czNjcjN0LXQwazNu, client-key-data: czNjcjN0LXQwazNu")),
		"not base64":           write("base64", whole(`server: "https://127.0.0.1", certificate-authority-data: "`+token+`!"`, "token: "+token)),
		"no such context":      write("context", "apiVersion: v1\nkind: Config\ncurrent-context: nowhere\n"),
		"a file that is not":   write("file", whole(`server: "https://127.0.0.1", certificate-authority: /nowhere/ca.pem`, "token: "+token)),
		"a password in a URL":  write("url", whole(`server: "https://u:`+token+`@127.0.0.1:port"`, "token: t")),
		"one that is no URL":   write("nourl", whole(`server: "u:`+token+`@127.0.0.1:1:2"`, "token: t")),
		"a proxy's password":   write("proxy", whole(`server: "https://127.0.0.1", proxy-url: "http://u:`+token+`@127.0.0.1:port"`, "token: t")),
		"two ways to identify": write("two", whole(`server: "https://127.0.0.1"`, "token: "+token+", username: u, password: "+token)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(path, "kactus/test")
			if err == nil {
				t.Fatal("it was accepted")
			}
			if failed := failure(t, err); failed.Temporary() || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
			if strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "czNjcjN0LXQwazNu") {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

func TestAKubeconfigThatIsMissingOrClosedSaysSo(t *testing.T) {
	_, err := New("/nowhere/kubeconfig", "kactus/test")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestWithoutAKubeconfigCredentialsOfTheClusterAreAskedFor(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", "/root/.kube/config") // which is not kactus's
	_, err := New("", "kactus/test")
	if failed := failure(t, err); failed.Temporary() || !strings.Contains(err.Error(), "in-cluster credentials") {
		t.Errorf("got %v", err)
	}
}

func TestAKubeconfigSaysWhereAndWho(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"token": "from-a-file\n", "ca.crt": "an authority"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(cluster, user string) account {
		t.Helper()
		path := filepath.Join(dir, "kubeconfig")
		text := "current-context: here\ncontexts: [{name: there, context: {cluster: no, user: no}}, {name: here, context: {cluster: c, user: u}}]\n" +
			"clusters: [{name: no, cluster: {server: 'https://no'}}, {name: c, cluster: {" + cluster + "}}]\nusers: [{name: no, user: {token: no}}, {name: u, user: {" + user + "}}]\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := readKubeconfig(path)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}

	a := read("server: 'https://10.0.0.1:6443/prefix', certificate-authority: ca.crt, tls-server-name: kubernetes, proxy-url: 'socks5://127.0.0.1:1'", "token: not-this, tokenFile: token")
	if a.server.String() != "https://10.0.0.1:6443/prefix" || a.proxy.String() != "socks5://127.0.0.1:1" || string(a.ca) != "an authority" || a.serverName != "kubernetes" {
		t.Errorf("the server is %+v", a)
	}
	if a.token != "from-a-file" {
		t.Errorf("the token is %q", a.token)
	}
	a = read("server: 'https://[::1]', insecure-skip-tls-verify: true", "client-certificate-data: QQ==, client-key-data: Qg==")
	if !a.insecure || string(a.cert) != "A" || string(a.key) != "B" || a.token != "" {
		t.Errorf("got %+v", a)
	}
	if a = read("server: 'http://127.0.0.1:8080'", "username: me, password: mine"); a.username != "me" || a.password != "mine" || a.secret() != "bWU6bWluZQ==" {
		t.Errorf("got %+v", a)
	}
}

func TestCredentialsThatAProgramWouldFetchAreRefusedByName(t *testing.T) {
	for _, key := range []string{"exec: {command: get-token}", "auth-provider: {name: oidc}", "as: someone"} {
		path := filepath.Join(t.TempDir(), "kubeconfig")
		text := "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://c'}}]\nusers: [{name: u, user: {" + key + "}}]\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := New(path, "kactus/test")
		if want, _, _ := strings.Cut(key, ":"); !strings.Contains(failure(t, err).Error(), want+":") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestTheKubeconfigThatIsWrittenIsOneThatIsRead(t *testing.T) {
	content, err := Kubeconfig("https://[fd00::1]:443", []byte("an authority"), token)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := readKubeconfig(path)
	if err != nil || a.server.Host != "[fd00::1]:443" || string(a.ca) != "an authority" || a.token != token {
		t.Errorf("got %+v, %v", a, err)
	}
}
