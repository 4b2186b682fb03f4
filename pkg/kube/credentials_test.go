package kube

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/clientcmd/api"
)

func TestNew_ServerWithoutAScheme(t *testing.T) {
	t.Run("is HTTPS where the cluster has an authority", func(t *testing.T) {
		s := serve(t, authenticated)
		address := s.Listener.Addr().String()
		c := newClient(t, configWith(t, fmt.Sprintf("server: %q%s", address, s.authority()), "token: "+token))
		if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
			t.Error(err)
		}
	})
	t.Run("is HTTP where it has none, and the token is not sent", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Error("the token was sent in the clear")
			}
			object(w, r)
		}))
		defer s.Close()
		c := newClient(t, configWith(t, fmt.Sprintf("server: %q", s.Listener.Addr()), "token: "+token))
		if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
			t.Error(err)
		}
	})
}

func TestNew_UserOfTheContext(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials were sent")
		}
		object(w, r)
	})
	write := func(context string) string {
		path := configWith(t, fmt.Sprintf("server: %q%s", s.URL, s.authority()), "token: t")
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(content), "cluster: c, user: u", context, 1)
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("none is nobody in particular", func(t *testing.T) {
		if _, err := newClient(t, write("cluster: c")).Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
			t.Error(err)
		}
	})
	for context, want := range map[string]string{
		"cluster: c, user: missing": "current-context: no such user",
		"cluster: missing, user: u": "current-context: no such cluster",
	} {
		if _, err := New(write(context), ""); !strings.HasSuffix(failure(t, err).Error(), want) {
			t.Errorf("%s: got %v", context, err)
		}
	}
}

func TestPod_ActsAsAnotherUser(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Impersonate-User") != "someone" || r.Header.Get("Impersonate-Group") != "some" {
			t.Errorf("got %v", r.Header)
		}
		authenticated(w, r)
	})
	user := "as: someone, as-groups: [some], token: " + token
	c := newClient(t, configWith(t, fmt.Sprintf("server: %q%s", s.URL, s.authority()), user))
	if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
		t.Error(err)
	}
}

// tokens are those that a server has got, which repeats each in its response.
type tokens []string

func (s *tokens) RoundTrip(req *http.Request) (*http.Response, error) {
	*s = append(*s, strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "))
	w := httptest.NewRecorder()
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprint(w, req.Header.Get("Authorization"))
	return w.Result(), nil
}

// The clock of the test is not the real one.
func TestClient_ReadsARenewedTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first-" + token + "\n")
	synctest.Test(t, func(t *testing.T) {
		config, err := newClientConfig(&api.Cluster{Server: "https://a"}, &api.AuthInfo{TokenFile: path})
		if err != nil {
			t.Fatal(err)
		}
		c, err := config.client("kactus/test")
		if err != nil {
			t.Fatal(err)
		}
		sent := &tokens{}
		findGuard(t, c.http.Transport).RoundTripper = sent
		kept := os.Remove(path) // what was read at first is as good
		if _, err = c.Pod(t.Context(), "tenant", "app"); kept != nil || failure(t, err).Status != http.StatusForbidden {
			t.Errorf("without the file: %v", err)
		}
		for _, content := range []string{"second-" + token + "\n", "third\n" + token} {
			write(content)
			time.Sleep(2 * time.Minute)
			_, err = c.Pod(t.Context(), "tenant", "app")
			if strings.Contains(failure(t, err).Error(), token) {
				t.Errorf("got %v", err)
			}
		}
		if failed := failure(t, err); failed.Temporary() || !errors.Is(err, errUnsendable) || failed.Tries != 1 {
			t.Errorf("a token that cannot be sent: %v", err)
		}
		if want := []string{"first-" + token, "second-" + token}; !slices.Equal(*sent, want) {
			t.Errorf("sent %v, want %v", *sent, want)
		}
	})
}

// findGuard returns the guard in a transport.
func findGuard(t *testing.T, rt http.RoundTripper) *guard {
	t.Helper()
	for {
		if g, ok := rt.(*guard); ok {
			return g
		}
		wrapper, ok := rt.(interface{ WrappedRoundTripper() http.RoundTripper })
		if !ok {
			t.Fatalf("no guard in the %T", rt)
		}
		rt = wrapper.WrappedRoundTripper()
	}
}

func TestPod_CredentialsInFiles(t *testing.T) {
	url, ca, _ := serveTLS(t, valid(), func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
	authority, cert, key := fileOf(t), fileOf(t), fileOf(t)
	write := func(path string, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, private := keyPairPEM(t)
	write(authority, ca)
	write(cert, certificate)
	write(key, private)
	c := newClient(t, configWith(t, fmt.Sprintf("server: %q, certificate-authority: %q", url, authority),
		fmt.Sprintf("client-certificate: %q, client-key: %q", cert, key)))
	if _, err := c.Pod(within(t, 10*time.Second), "tenant", "app"); err != nil {
		t.Fatal(err)
	}
}
