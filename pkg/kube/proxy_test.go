package kube

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const proxyPassword = "pr0xy-p4ssword"

// startProxy starts a proxy that answers every request as the handler does.
func startProxy(t *testing.T, handler http.HandlerFunc) *url.URL {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("user", proxyPassword)
	return u
}

// connect connects the client with the server at addr, whatever it asks for.
func connect(addr string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		server, err := net.Dial("tcp", addr)
		if err != nil || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() {
			_, _ = io.Copy(server, client)
			server.Close()
		}()
		_, _ = io.Copy(client, server)
		client.Close()
	}
}

// refuse refuses to connect, as a proxy does that repeats what it was sent.
func refuse(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<html>the proxy's own page: %s %s</html>",
			r.Header.Get("Proxy-Authorization"), r.Header.Get("Authorization"))
	}
}

// untilThird returns a context that ends with the third request that the returned handler gets,
// which is enough to see that requests are retried. It passes them on.
func untilThird(t *testing.T, handler http.HandlerFunc) (context.Context, http.HandlerFunc, *atomic.Int32) {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t, 10*time.Second))
	t.Cleanup(cancel)
	requests := new(atomic.Int32)
	return ctx, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 3 {
			cancel()
		}
		handler(w, r)
	}, requests
}

// through returns a Client of the server at a URL through the proxy.
func through(t *testing.T, proxy *url.URL, server, cluster string) *Client {
	t.Helper()
	cluster = fmt.Sprintf("server: %q, proxy-url: %q%s", server, proxy, cluster)
	return newClient(t, configWith(t, cluster, "token: "+token))
}

func (s *apiserver) authority() string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return ", certificate-authority-data: " + base64.StdEncoding.EncodeToString(ca)
}

// expectProxy fails unless the error names the proxy, once, without its credentials or the token.
func expectProxy(t *testing.T, err error, proxy *url.URL, words ...string) *Error {
	t.Helper()
	failed := failure(t, err)
	for _, word := range append(words, "the proxy "+proxy.Host) {
		if strings.Count(err.Error(), word) != 1 {
			t.Errorf("want %q once in the error: %v", word, err)
		}
	}
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + proxyPassword))
	for _, secret := range []string{proxyPassword, token, basic} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error has %q: %v", secret, err)
		}
	}
	return failed
}

func TestPod_ProxyRefusesToConnect(t *testing.T) {
	for status, retried := range map[int]bool{
		400: false, 403: false, 404: false, 407: false, 429: true, 502: true, 504: true,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			ctx, handler, requests := untilThird(t, refuse(status))
			proxy := startProxy(t, handler)
			_, err := through(t, proxy, "https://apiserver.example:6443", "").Pod(ctx, "tenant", "app")
			failed := expectProxy(t, err, proxy, fmt.Sprintf("CONNECT with %d %s", status, http.StatusText(status)))
			if failed.Temporary() != retried || failed.Missing() || (requests.Load() > 1) != retried {
				t.Errorf("%d requests, temporary: %v: %v", requests.Load(), failed.Temporary(), err)
			}
		})
	}
}

func TestPod_ProxyAnswersInPlaceOfTheAPIServer(t *testing.T) {
	for status, temporary := range map[int]bool{403: false, 404: false, 407: false, 502: true, 200: false} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			ctx, handler, _ := untilThird(t, refuse(status))
			proxy := startProxy(t, handler)
			_, err := through(t, proxy, "http://apiserver.example:8080", "").Pod(ctx, "tenant", "app")
			failed := expectProxy(t, err, proxy)
			quoted := strings.Contains(err.Error(), "own page")
			if failed.Temporary() != temporary || failed.Missing() || quoted != (status != 200) {
				t.Errorf("temporary: %v, missing: %v: %v", failed.Temporary(), failed.Missing(), err)
			}
		})
	}
}

func TestPod_ProxyCannotBeReached(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	for _, scheme := range []string{"http", "https", "socks5"} {
		proxy := &url.URL{Scheme: scheme, Host: addr, User: url.UserPassword("user", proxyPassword)}
		c := through(t, proxy, "https://apiserver.example:6443", "")
		_, err := c.Pod(within(t, 300*time.Millisecond), "tenant", "app")
		if failed := expectProxy(t, err, proxy, "connection refused"); !failed.Temporary() {
			t.Errorf("%s: got %v", scheme, err)
		}
	}
}

func TestPod_ThroughAProxy(t *testing.T) {
	t.Run("an answer of the apiserver", func(t *testing.T) {
		s := serve(t, object)
		proxy := startProxy(t, connect(s.Listener.Addr().String()))
		pod, err := through(t, proxy, s.URL, s.authority()).Pod(within(t, 10*time.Second), "tenant", "app")
		if err != nil || pod.Name != "app" {
			t.Errorf("got %+v, %v", pod, err)
		}
	})
	t.Run("an error of the apiserver does not name the proxy", func(t *testing.T) {
		s := serve(t, respond(403, `{"kind":"Status","message":"because"}`))
		proxy := startProxy(t, connect(s.Listener.Addr().String()))
		_, err := through(t, proxy, s.URL, s.authority()).Pod(within(t, 10*time.Second), "tenant", "app")
		if failure(t, err); !strings.HasSuffix(err.Error(), "403 Forbidden: because") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a page that may be of a proxy that ends TLS", func(t *testing.T) {
		s := serve(t, respond(403, "<html>"))
		proxy := startProxy(t, connect(s.Listener.Addr().String()))
		_, err := through(t, proxy, s.URL, s.authority()).Pod(within(t, 10*time.Second), "tenant", "app")
		expectProxy(t, err, proxy, "403 Forbidden")
	})
	t.Run("a certificate that may be of a proxy that ends TLS", func(t *testing.T) {
		s := serve(t, object)
		proxy := startProxy(t, connect(s.Listener.Addr().String()))
		_, err := through(t, proxy, s.URL, "").Pod(within(t, 10*time.Second), "tenant", "app")
		if failed := expectProxy(t, err, proxy, "unknown authority"); failed.Temporary() {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an object that is missing is missing", func(t *testing.T) {
		s := serve(t, respond(404, "404 page not found"))
		proxy := startProxy(t, connect(s.Listener.Addr().String()))
		_, err := through(t, proxy, s.URL, s.authority()).Network(within(t, 10*time.Second), "tenant", "green")
		if failed := failure(t, err); !failed.Missing() {
			t.Errorf("got %v", err)
		}
	})
}

// The environment is read once in a process, so each case has a process of its own.
func TestNew_ProxyOfTheEnvironment(t *testing.T) {
	const inChild = "KACTUS_TEST_PROXY"
	if server := os.Getenv(inChild); server != "" {
		c, err := New(configWith(t, `server: "`+server+`"`, "token: "+token), "kactus/test")
		if err == nil {
			_, err = c.Pod(within(t, 10*time.Second), "tenant", "app")
		}
		t.Fatalf("temporary: %v: %v", failure(t, err).Temporary(), err)
	}
	proxy := startProxy(t, refuse(403))
	const https, http = "https://apiserver.example", "http://apiserver.example"
	refused := "the proxy " + proxy.Host + " answered CONNECT with 403"
	credentials := "u:" + proxyPassword
	for name, tt := range map[string]struct{ server, variable, value, want string }{
		"CONNECT":        {https, "HTTPS_PROXY", proxy.String(), refused},
		"lower case":     {https, "https_proxy", proxy.Host, refused},
		"plain HTTP":     {http, "HTTP_PROXY", proxy.String(), "(through the proxy " + proxy.Host + ")"},
		"not a URL":      {https, "HTTPS_PROXY", "http://" + credentials + "@a b", "HTTPS_PROXY: must be"},
		"another scheme": {https, "HTTPS_PROXY", "ftp://" + credentials + "@a", "HTTPS_PROXY: must be"},
		"a wrong port":   {https, "HTTPS_PROXY", "http://" + credentials + "@a:70000", "HTTPS_PROXY: must have a port"},
		"for plain HTTP": {http, "HTTP_PROXY", "ftp://" + credentials + "@a", "HTTP_PROXY: must be"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestNew_ProxyOfTheEnvironment$")
			cmd.Env = []string{inChild + "=" + tt.server, tt.variable + "=" + tt.value}
			out, _ := cmd.CombinedOutput()
			if !strings.Contains(string(out), tt.want) || !strings.Contains(string(out), "temporary: false") ||
				strings.Contains(string(out), proxyPassword) {
				t.Errorf("want %q in\n%s", tt.want, out)
			}
		})
	}
}
