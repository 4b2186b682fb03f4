package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"testing"
)

// A DEL must undo what the ADD made, whatever became of all that the ADD knew.
func TestDel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		happen func(t *testing.T, p *pod)
	}{
		{"the Networks were deleted", func(t *testing.T, p *pod) {
			remove(t, networksPath(p.namespace), "green")
			remove(t, networksPath(p.namespace), "blue")
		}},
		{"a Network was changed: the ADD's configuration counts", func(t *testing.T, p *pod) {
			patch(t, networksPath(p.namespace)+"/green", `{"spec": {"config": "{\"type\": \"macvlan\", \"master\": \"no-such\"}"}}`)
			patch(t, networksPath(p.namespace)+"/blue", `{"spec": {"config": "{}", "plugin": "no-such"}}`)
		}},
		{"the Pod was deleted", func(t *testing.T, p *pod) { remove(t, podsPath(p.namespace), p.name) }},
		{"the annotation names other networks by now", func(t *testing.T, p *pod) {
			patch(t, podsPath(p.namespace)+"/"+p.name, `{"metadata": {"annotations": {"networks": "[]"}}}`)
		}},
		{"the kubeconfig was deleted", func(t *testing.T, p *pod) {
			if err := os.Remove(p.conf.Kubeconfig); err != nil {
				t.Fatal(err)
			}
		}},
		{"the netconf has another master delegate by now", func(t *testing.T, p *pod) {
			p.delegates(`{"masterPlugin": true, "type": "ptp", "ipam": {"type": "host-local", "dataDir": "/proc/no-such", "ranges": [[{"subnet": "10.0.0.0/24"}]]}}`)
		}},
		{"the netconf's version changed", func(t *testing.T, p *pod) { p.conf.CNIVersion = "0.3.1" }},
		{"the log cannot be written", func(t *testing.T, p *pod) { p.conf.LogFile = "/proc/no-such/log" }},
	} {
		t.Run("undoes a Pod after "+c.what, func(t *testing.T) {
			tn := newTenant(t)
			tn.bridges(t, "green", "blue")
			p := tn.pod(t, `[{"name":"green"},{"name":"blue"}]`)
			p.add(t)
			p.expectDevices(t, "eth0", greenDevice, blueDevice)
			c.happen(t, p)
			p.del(t)
			p.expectGone(t)
		})
	}
}

func TestDelByHand(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green")
	p := tn.pod(t, `[{"name":"green"}]`)
	p.add(t)
	t.Run("needs neither CNI_ARGS nor CNI_NETNS", func(t *testing.T) {
		if _, err := p.start(t, "DEL", p.conf, call{device: "eth0"}).wait(t); err != nil {
			t.Errorf("DEL: %v", err)
		}
		p.expectGone(t)
	})
}

func patch(t *testing.T, path, body string) {
	t.Helper()
	status, answer, err := suite.cp.Do(t.Context(), http.MethodPatch, path, "application/merge-patch+json", []byte(body))
	if err != nil || status != http.StatusOK {
		t.Fatalf("PATCH %s: status %d, %v: %s", path, status, err, answer)
	}
}

func TestDelWithBrokenNetconf(t *testing.T) {
	t.Parallel()
	for what, delegates := range map[string]string{
		"is of the wrong type":                 `"green"`,
		"is empty":                             `[]`,
		"has a delegate without a type":        `[{"masterPlugin": true}]`,
		"has a delegate with a path":           `[{"masterPlugin": true, "type": "../bridge"}]`,
		"has two masters":                      `[{"masterPlugin": true, "type": "bridge"}, {"masterPlugin": true, "type": "bridge"}]`,
		"has a delegate that is not an object": `[42]`,
	} {
		t.Run("undoes a Pod where the delegates section "+what, func(t *testing.T) {
			tn := newTenant(t)
			tn.bridges(t, "green")
			p := tn.pod(t, `[{"name":"green"}]`)
			p.add(t)
			conf := json.RawMessage(`{"cniVersion": "1.0.0", "name": "` + defaultNet + `", "type": "kactus", "cniDir": "` + p.conf.CNIDir + `", "delegates": ` + delegates + `}`)
			if _, err := p.start(t, "DEL", conf, p.runtime()).wait(t); err != nil {
				t.Errorf("DEL: %v", err)
			}
			p.expectGone(t)
		})
	}
}

func TestDelAgain(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green")
	t.Run("of a Pod that is undone succeeds", func(t *testing.T) {
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		p.del(t)
		p.del(t)
		p.expectGone(t)
	})
	t.Run("of a container that was never seen succeeds", func(t *testing.T) {
		p := tn.absentPod(t)
		p.del(t)
		p.expectGone(t)
	})
	t.Run("of a container whose record was lost undoes what the netconf makes", func(t *testing.T) {
		p := tn.podWith(t, nil)
		p.add(t)
		if err := os.Remove(p.recordPath()); err != nil {
			t.Fatal(err)
		}
		p.del(t)
		p.expectGone(t)
	})
	t.Run("of a container whose record is damaged succeeds, and keeps the record for inspection", func(t *testing.T) {
		p := tn.podWith(t, nil)
		p.add(t)
		if err := os.Truncate(p.recordPath(), 20); err != nil {
			t.Fatal(err)
		}
		p.del(t)
		p.expectDevices(t)
		tn.expectLeases(t, defaultNet, 0)
		if _, err := os.Stat(p.recordPath()); err == nil {
			t.Error("the damaged record is in its place still")
		}
		if got := fileNames(t, p.conf.CNIDir); len(got) != 1 {
			t.Errorf("the ledger has %q; want the record that was set aside", got)
		}
	})
}

func TestDelWithoutNetns(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green")
	t.Run("undoes a Pod whose namespace is there, though the runtime does not name it", func(t *testing.T) {
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		c := p.runtime()
		c.netns = ""
		if err := p.libcniDel(t, p.conf, c); err != nil {
			t.Fatal(err)
		}
		p.expectGone(t)
	})
	for what, named := range map[string]bool{"and is named": true, "and is not named": false} {
		t.Run("frees the leases of a Pod whose namespace is gone "+what, func(t *testing.T) {
			p := tn.pod(t, `[{"name":"green"}]`)
			p.add(t)
			p.hotAdd(t, "green")
			tn.expectLeases(t, "green", 1)
			loseNetns(t, p.netns)
			c := p.runtime()
			if !named {
				c.netns = ""
			}
			if err := p.libcniDel(t, p.conf, c); err != nil {
				t.Fatal(err)
			}
			p.expectGone(t)
		})
	}
	t.Run("leaves a namespace alone that another Pod got at the same path", func(t *testing.T) {
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		old, err := os.Open(p.netns) // keeps it alive, so that the kernel does not give its number to the next
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		loseNetns(t, p.netns)
		makeNetns(t, p.netns)
		other := tn.pod(t, `[{"name":"green"}]`)
		other.netns = p.netns
		other.add(t)
		before := other.index(t, greenDevice)
		p.del(t)
		p.expectNoRecord(t)
		if other.index(t, greenDevice) != before {
			t.Error("the other Pod's device is another")
		}
		other.expectDevices(t, "eth0", greenDevice)
		tn.expectLeases(t, "green", 1)
		if err := old.Close(); err != nil {
			t.Error(err)
		}
		other.del(t)
		other.expectGone(t)
	})
}
