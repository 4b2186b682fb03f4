package kube

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// configWith writes a kubeconfig with the keys of a cluster and a user, as YAML.
func configWith(t *testing.T, cluster, user string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: c\n" +
		"clusters: [{name: c, cluster: {" + cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]\n" +
		"contexts: [{name: c, context: {cluster: c, user: u}}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// execKeys returns a user with a plugin.
func execKeys(command, version, mode string) string {
	return "exec: {command: " + command + ", apiVersion: client.authentication.k8s.io/" + version +
		", interactiveMode: " + mode + "}"
}

func TestNew_WhatCanNeverBeSent(t *testing.T) {
	const local = `server: "https://127.0.0.1:6443"`
	files := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(files, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server := func(url string) string { return `server: "` + url + `"` }
	notPEM := base64.StdEncoding.EncodeToString([]byte("no certificate"))
	tests := []struct{ name, cluster, user, key string }{
		{"a token with a newline at its end", local, `token: "` + token + `\n"`, "token: "},
		{"a token with a newline", local, `token: "` + token + `\nx"`, "token: "},
		{"a token with a carriage return", local, `token: "` + token + `\r"`, "token: "},
		{"a token with a tab", local, `token: "` + token + `\tx"`, "token: "},
		{"a token with a NUL", local, `token: "` + token + `\0"`, "token: "},
		{"a token with a DEL", local, `token: "` + token + `\x7f"`, "token: "},
		{"a token with a space", local, `token: "Bearer ` + token + `"`, "token: "},
		{"a token file of two lines", local, "tokenFile: " + file("two", token+"\n"+token+"\n"), "tokenFile: "},
		{"a token file of white space", local, "tokenFile: " + file("blank", " \n"), "tokenFile: "},
		{"an empty token file", local, "tokenFile: " + file("empty", ""), "tokenFile: "},
		{"a user with a newline", local, `username: "u\n", password: p`, "username: "},
		{"a user with a colon", local, `username: "u:v", password: p`, "username: "},
		{"a password with a newline", local, `username: u, password: "` + token + `\n"`, "password: "},
		{"a server with a space", server("https://a b"), "token: t", "server: "},
		{"a server with a newline", server(`https://a\nb`), "token: t", "server: "},
		{"a server without a host", server("https://:6443"), "token: t", "server: "},
		{"a server with other characters", server("https://a<b>:6443"), "token: t", "server: "},
		{"a server with an empty label", server("https://a..b:6443"), "token: t", "server: "},
		{"a server with a long label", server("https://" + strings.Repeat("a", 64) + ".b"), "token: t", "server: "},
		{"a server with a long name", server("https://" + strings.Repeat("a.", 128)), "token: t", "server: "},
		{"a server with a port out of range", server("https://127.0.0.1:65536"), "token: t", "server: "},
		{"a server with the port 0", server("https://127.0.0.1:0"), "token: t", "server: "},
		{"a server with another scheme", server("ftp://127.0.0.1"), "token: t", "server: "},
		{"a proxy with a port out of range", local + `, proxy-url: "http://10.0.0.1:99999"`, "token: t", "proxy-url: "},
		{"a proxy without a host", local + `, proxy-url: "http://:3128"`, "token: t", "proxy-url: "},
		{"a name in the certificate with a newline", local + `, tls-server-name: "a\n"`, "token: t",
			"tls-server-name: "},
		{"a name in the certificate with a port", local + `, tls-server-name: "a:6443"`, "token: t",
			"tls-server-name: "},
		{"a name in the certificate that is a URL", local + `, tls-server-name: "https://a"`, "token: t",
			"tls-server-name: "},
		{"an authority that is not base64", local + `, certificate-authority-data: "%"`, "token: t",
			"certificate-authority-data: "},
		{"an authority that is not PEM", local + `, certificate-authority-data: "` + notPEM + `"`, "token: t",
			"certificate-authority: "},
		{"a client certificate that is not base64", local, `client-certificate-data: "%", client-key-data: "QQ=="`,
			"client-certificate-data: "},
		{"a token that YAML takes for a number", local, "token: 12345", "users.user.token: "},
		{"a user to act as with a newline", local, `as: "a\n", token: t`, "as: "},
		{"a UID to act as with a newline", local, `as: a, as-uid: "1\n", token: t`, "as-uid: "},
		{"a group to act as with a newline", local, `as: a, as-groups: ["g\n"], token: t`, "as-groups: "},
		{"something else to act as with a newline", local, `as: a, as-user-extra: {k: ["v\n"]}, token: t`,
			"as-user-extra: "},
		{"groups without a user to act as", local, "as-groups: [g], token: t", "as: "},
		{"a password and a token", local, "password: p, token: t", "username, password, token: "},
		{"no program", local, "exec: {apiVersion: client.authentication.k8s.io/v1}", "exec.command: "},
		{"a program that is missing", local, execKeys("kactus-no-such-program", "v1", "Never"), "exec.command: "},
		{"a program that cannot be executed", local, execKeys(file("plain", token), "v1", "Never"), "exec.command: "},
		{"an old version of exec", local, execKeys("sh", "v1alpha1", "Never"), "exec.apiVersion: "},
		{"no version of exec", local, "exec: {command: sh}", "exec.apiVersion: "},
		{"a program that asks", local, execKeys("sh", "v1", "Always"), "exec.interactiveMode: "},
		{"a variable without a name", local, execKeys("sh", "v1", "Never, env: [{value: v}]"), "exec.env: "},
		{"a client certificate without a key", local, "client-certificate-data: QQ==", "client-key: "},
		{"a client certificate that is not PEM", local,
			"client-certificate: " + file("cert", token) + ", client-key: " + file("key", token),
			"client-certificate, "},
		{"a missing client key", local, "client-certificate: " + file("c", "c") + ", client-key: /nowhere/key",
			"client-key: read /nowhere/key: no such file"},
		{"a client key that is not base64", local, `client-certificate-data: "QQ==", client-key-data: "%"`,
			"client-key-data: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			_, err := New(configWith(t, tt.cluster, tt.user), "kactus/test")
			failed := failure(t, err)
			if failed.Temporary() || !strings.Contains(err.Error(), tt.key) || strings.Contains(err.Error(), token) {
				t.Errorf("got %v, temporary: %v", err, failed.Temporary())
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Run("a User-Agent with a newline", func(t *testing.T) {
		_, err := New(configWith(t, local, "token: t"), "kactus/1\n")
		if failed := failure(t, err); failed.Temporary() || !strings.Contains(err.Error(), "User-Agent: ") {
			t.Errorf("got %v", err)
		}
	})
}

func TestNew_WhatCanBeSent(t *testing.T) {
	_, authority := selfSigned(t, valid())
	files := t.TempDir()
	tokenFile := filepath.Join(files, "token")
	if err := os.WriteFile(tokenFile, []byte("\n "+token+" \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, cluster, user string }{
		{"a name", `server: "https://kubernetes.default.svc:443"`, "token: t"},
		{"a name with an underscore and a final dot", `server: "https://My_node-1.example.com."`, "token: t"},
		{"a name with other letters", `server: "https://bücher.example"`, "token: t"},
		{"an IPv6 address with a zone", `server: "https://[fe80::1%25eth0]:6443"`, "token: t"},
		{"an IPv6 address in the certificate", `server: "https://a", tls-server-name: "[fd00::1]"`, "token: t"},
		{"a proxy with a password", `server: "https://a", proxy-url: "http://u:p%0A@proxy:3128"`, "token: t"},
		{"a SOCKS proxy that resolves names", `server: "https://a", proxy-url: "socks5h://proxy"`, "token: t"},
		{"a password with other letters", `server: "https://a"`, `username: ü, password: "a:b ü"`},
		{"a token file with white space around", `server: "https://a"`, "tokenFile: " + tokenFile},
		{"no credentials", `server: "https://a"`, ""},
		{"data beside the path of a file", `server: "https://a", certificate-authority: /nowhere, ` +
			"certificate-authority-data: " + base64.StdEncoding.EncodeToString(authority), "token: t"},
		{"no scheme", `server: "a:6443"`, "token: t"},
		{"an IPv6 address without a scheme", `server: "[fd00::1]:6443"`, "token: t"},
		{"a plugin that would ask if it could", `server: "https://a"`, execKeys("sh", "v1beta1", "IfAvailable")},
		{"a plugin that does not say whether it asks", `server: "https://a"`,
			"exec: {command: sh, apiVersion: client.authentication.k8s.io/v1}"},
		{"a user to act as", `server: "https://a"`, "as: someone, as-groups: [some], token: t"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(configWith(t, tt.cluster, tt.user), "kactus/test"); err != nil {
				t.Error(err)
			}
		})
	}
}
