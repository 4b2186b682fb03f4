package install

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// podNode returns a node whose installer runs in a Pod, with the Pod's token.
func podNode(t *testing.T) (*testNode, string) {
	t.Helper()
	n := newTestNode(t)
	n.api.set(func() { n.api.pods["pod"] = 1000 })
	token := jwt("pod", 1000)
	n.write("account/token", token, 0o644)
	return n, token
}

// refresh talks to the apiserver and installs.
func (n *testNode) refresh() (warning, err error) {
	n.Helper()
	warning, err = n.Refresh(n.Context())
	_, installErr := n.Install()
	n.must(installErr)
	return warning, err
}

func (n *testNode) refreshed() {
	n.Helper()
	if warning, err := n.refresh(); warning != nil || err != nil {
		n.Errorf("Refresh: %v, %v", warning, err)
	}
}

func TestRefresh_GivesTheNodeItsOwnToken(t *testing.T) {
	n, projected := podNode(t)
	n.refreshed()
	first := n.nodeToken()
	if c := claimsOf(first); first == projected || c.Kubernetes.Pod.Name != "" || c.lifetime() != 24*time.Hour {
		t.Errorf("the node has a token with the claims %+v", c)
	}
	n.same("bound to", n.api.asked, []string{"v1/Node/node1"})

	t.Run("and keeps it for four fifths of its life", func(t *testing.T) {
		n.api.pass(19 * time.Hour)
		n.refreshed()
		if n.nodeToken() != first || len(n.api.asked) != 1 {
			t.Errorf("asked for %v", n.api.asked)
		}
		n.api.pass(13 * time.Minute)
		n.refreshed()
		if n.nodeToken() == first {
			t.Error("the token was not renewed")
		}
	})
	t.Run("which the Pod's own never replaces", func(t *testing.T) {
		second := n.nodeToken()
		n.write("account/token", jwt("pod", int(n.api.now.Add(time.Hour).Unix())), 0o644)
		n.install()
		if n.nodeToken() != second {
			t.Error("the node has another token")
		}
	})
}

func TestRefresh_Binding(t *testing.T) {
	for name, tt := range map[string]struct {
		node   string
		change func(*apiserver)
		want   []string
	}{
		"to the Node": {"node1", func(*apiserver) {}, []string{"v1/Node/node1"}},
		"to nothing, if the apiserver cannot": {"node1", func(s *apiserver) { s.noNodes = true },
			[]string{"v1/Node/node1", "nothing"}},
		"to nothing, if no Node is named": {"", func(*apiserver) {}, []string{"nothing"}},
		"to the Node, if the apiserver has failed": {"node1", func(s *apiserver) { s.refuse = 500 },
			[]string{"v1/Node/node1"}},
		"to the Node, if there are too many requests": {"node1", func(s *apiserver) { s.refuse = 429 },
			[]string{"v1/Node/node1"}},
	} {
		t.Run(name, func(t *testing.T) {
			n, _ := podNode(t)
			n.Node = tt.node
			tt.change(n.api)
			_, _ = n.refresh()
			n.same("bound to", n.api.asked, tt.want)
		})
	}
}

func TestRefresh_FallsBackToThePodsToken(t *testing.T) {
	for name, change := range map[string]func(n *testNode){
		"no right to ask":                  func(n *testNode) { n.api.refuse = http.StatusForbidden },
		"an apiserver that fails":          func(n *testNode) { n.api.refuse = http.StatusInternalServerError },
		"an apiserver that is unreachable": func(n *testNode) { n.api.down = true },
	} {
		t.Run(name, func(t *testing.T) {
			n, projected := podNode(t)
			change(n)
			warning, err := n.refresh()
			if warning == nil || !strings.Contains(warning.Error(), "POST ") || n.api.down != (err != nil) {
				t.Errorf("got %v, %v", warning, err)
			}
			if n.nodeToken() != projected {
				t.Errorf("the node has %s", n.nodeToken())
			}
			t.Run("until it succeeds", func(t *testing.T) {
				n.api.set(func() { n.api.refuse, n.api.down = 0, false })
				n.api.pass(contactInterval)
				n.refreshed()
				if n.nodeToken() == projected {
					t.Error("the node still has the Pod's token")
				}
			})
		})
	}
	t.Run("which the kubelet renews", func(t *testing.T) {
		n, _ := podNode(t)
		n.api.refuse = http.StatusForbidden
		_, _ = n.refresh()
		renewed := jwt("pod", 2000)
		n.write("account/token", renewed, 0o644)
		_, _ = n.refresh()
		if n.nodeToken() != renewed {
			t.Errorf("the node has %s", n.nodeToken())
		}
	})
	t.Run("but not while the node's own lives", func(t *testing.T) {
		n, projected := podNode(t)
		n.refreshed()
		own := n.nodeToken()
		n.Installer = &Installer{Options: n.Options, clock: n.api.time} // its successor
		n.api.refuse = http.StatusForbidden
		if warning, _ := n.refresh(); warning == nil || n.nodeToken() != own {
			t.Errorf("%v; the node has %s", warning, n.nodeToken())
		}
		n.api.pass(25 * time.Hour)
		if _, _ = n.refresh(); n.nodeToken() != projected {
			t.Errorf("the node has %s", n.nodeToken())
		}
	})
}

// A token can become invalid before it expires: with the Node, or with the service account.
func TestRefresh_ReplacesATokenThatIsRejected(t *testing.T) {
	n, projected := podNode(t)
	n.refreshed()
	first := n.nodeToken()
	n.api.set(func() { n.api.rejected = []string{first} })
	n.api.pass(contactInterval)
	n.refreshed()
	if n.nodeToken() == first {
		t.Error("the node still has the token that the apiserver rejects")
	}
	t.Run("by the Pod's, if it gets no other", func(t *testing.T) {
		n.api.set(func() { n.api.rejected, n.api.refuse = []string{n.nodeToken()}, http.StatusForbidden })
		n.api.pass(contactInterval)
		if _, err := n.refresh(); err == nil || n.nodeToken() != projected {
			t.Errorf("%v; the node has %s", err, n.nodeToken())
		}
	})
}

// An apiserver that starts rejects every token at first.
func TestRefresh_KeepsATokenWhileAllAreRejected(t *testing.T) {
	n, projected := podNode(t)
	n.refreshed()
	own := n.nodeToken()
	n.api.set(func() { n.api.rejected = []string{own, projected} })
	n.api.pass(contactInterval)
	if _, err := n.refresh(); err == nil || n.nodeToken() != own {
		t.Errorf("%v; the node has %s", err, n.nodeToken())
	}
}

// A version with a wrong address for the apiserver must not break the node.
func TestInstall_KeepsAnAddressUntilAnotherOneAnswers(t *testing.T) {
	n, _ := podNode(t)
	n.refreshed()
	before := n.read("conf/kactus.d/kactus-kubeconfig.yaml")
	other := newAPIServer(t)
	other.pods["pod"], other.down = 1000, true
	n.Server = other.URL
	n.write("account/ca.crt", other.authority(), 0o644)
	n.Installer = &Installer{Options: n.Options, clock: n.api.time}
	if _, err := n.refresh(); err == nil || n.read("conf/kactus.d/kactus-kubeconfig.yaml") != before {
		t.Errorf("%v; the kubeconfig changed", err)
	}
	other.set(func() { other.down = false })
	n.api.pass(contactInterval)
	n.refreshed()
	if !strings.Contains(n.read("conf/kactus.d/kactus-kubeconfig.yaml"), other.URL) {
		t.Error("the kubeconfig does not have the address that answered")
	}
}

// So must a token that is no service account's, with which nothing else can be asked.
func TestInstall_AnotherAddressWithAnotherToken(t *testing.T) {
	n := newTestNode(t)
	n.install()
	other := newAPIServer(t)
	n.Server = other.URL
	n.write("account/ca.crt", other.authority(), 0o644)
	n.Installer = &Installer{Options: n.Options, clock: n.api.time}
	if _, _ = n.refresh(); !strings.Contains(n.read("conf/kactus.d/kactus-kubeconfig.yaml"), other.URL) {
		t.Error("the kubeconfig does not have the address that answered")
	}
}

// An installer that leads and gets no token must not keep the one that gets one from giving it to
// the node.
func TestInstallToken_TheLaterTokenWins(t *testing.T) {
	n := newTestNode(t)
	old := n.start("old", 1000, jwt("old", 1000))
	old.pass(true)
	update := n.start("update", 2000, jwt("update", 2000))
	n.api.set(func() { n.api.refuse = http.StatusForbidden })
	update.pass(true)
	n.api.set(func() { n.api.refuse = 0 })
	n.api.pass(20 * time.Hour)
	before := n.nodeToken()
	old.pass(false)
	renewed := n.nodeToken()
	if renewed == before {
		t.Error("the node's token was not renewed")
	}
	n.api.set(func() { n.api.refuse = http.StatusForbidden })
	update.pass(true)
	if n.nodeToken() != renewed {
		t.Error("the leader replaced a token that is better than its own")
	}
	n.expect("update")
}

func TestInstall_OneFailureStopsOnlyTheNetconf(t *testing.T) {
	for name, tt := range map[string]struct {
		damage func(n *testNode)
		want   []string
		words  []string
	}{
		"the binary cannot be written": {
			func(n *testNode) { n.must(os.MkdirAll(n.BinDir+"/kactus/in-the-way", 0o755)) },
			[]string{"link bin/null", "write conf/kactus.d/kactus-kubeconfig.yaml"}, []string{"bin/kactus"},
		},
		"there is no binary": {
			func(n *testNode) { n.must(os.Remove(n.Binary)) },
			[]string{"link bin/null", "write conf/kactus.d/kactus-kubeconfig.yaml"}, []string{"binary"},
		},
		"the kubeconfig cannot be written": {
			func(n *testNode) {
				n.must(os.MkdirAll(n.ConfDir+"/kactus.d/kactus-kubeconfig.yaml/in-the-way", 0o755))
			},
			[]string{"write bin/kactus", "link bin/null"}, []string{"kactus-kubeconfig.yaml"},
		},
		"the netconf is wrong": {
			func(n *testNode) { n.write("00-kactus.conf", "{", 0o644) },
			[]string{"write bin/kactus", "link bin/null", "write conf/kactus.d/kactus-kubeconfig.yaml"},
			[]string{"00-kactus.conf"},
		},
		"nothing can be installed": {
			func(n *testNode) {
				n.must(os.Remove(n.Binary))
				n.must(os.Remove(n.ServiceAccount + "/token"))
				n.write("00-kactus.conf", "{", 0o644)
			},
			[]string{"link bin/null"}, []string{"binary", "token", "00-kactus.conf"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t)
			tt.damage(n)
			changes, err := n.Install()
			n.same("changes", n.descriptions(changes), tt.want)
			for _, word := range tt.words {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("got %v, want %q in the error", err, word)
				}
			}
		})
	}
}

func TestInstall_Null(t *testing.T) {
	n := newTestNode(t)
	n.write("bin/null", "another", 0o755)
	n.install()
	_, err := n.Uninstall()
	n.must(err)
	if got := n.read("bin/null"); got != "another" {
		t.Errorf("bin/null is %s", got)
	}
	n.must(os.Remove(n.BinDir + "/null"))
	t.Run("is there in time for a netconf that needs it", func(t *testing.T) {
		n.write("00-kactus.conf", strings.Replace(validNetconf, `"ptp"`, `"ptp", "ipam": {"type": "null"}`, 1), 0o644)
		n.same("changes", n.install(), all)
		if got := n.read("bin/null"); got != "v1" {
			t.Errorf("bin/null is %s", got)
		}
	})
}

func TestClaimsOf(t *testing.T) {
	encode := base64.RawURLEncoding.EncodeToString
	for token, want := range map[string]float64{
		jwt("", 1753000000): 1753000000,
		"h." + encode([]byte(`{"iat": 1753000000.5}`)) + ".s": 1753000000.5,
		"h." + encode([]byte(`{"iat": "soon"}`)) + ".s":       0,
		"h." + encode([]byte(`{}`)) + ".s":                    0,
		"h." + encode([]byte(`{"iat": 7}`)):                   0,
		"h.!.s":                                               0,
		"opaque":                                              0,
		"":                                                    0,
	} {
		if got := claimsOf(token).IssuedAt; got != want {
			t.Errorf("%q: got %v, want %v", token, got, want)
		}
	}
}

// A node whose netconf stays needs the rest.
func TestUninstall_StopsAtWhatCannotBeRemoved(t *testing.T) {
	n := newTestNode(t)
	n.install()
	n.must(os.Remove(n.netconfPath()))
	n.must(os.MkdirAll(filepath.Join(n.netconfPath(), "in-the-way"), 0o700))
	n.write("conf/05-kactus.conf", validNetconf, 0o600)
	n.must(os.Remove(n.kubeconfigPath()))
	n.must(os.MkdirAll(filepath.Join(n.kubeconfigPath(), "in-the-way"), 0o700))
	changes, err := n.Uninstall()
	n.same("changes", n.descriptions(changes), []string{"remove conf/05-kactus.conf"})
	if err == nil || !strings.Contains(err.Error(), "kactus-kubeconfig.yaml") {
		t.Errorf("got %v", err)
	}
}
