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
		{"the Pod, its Networks and the kubeconfig were deleted", func(t *testing.T, p *pod) {
			remove(t, networksPath(p.namespace), "green")
			remove(t, networksPath(p.namespace), "blue")
			remove(t, podsPath(p.namespace), p.name)
			succeed(t, os.Remove(p.conf.Kubeconfig))
		}},
		{"the netconf's version changed", func(t *testing.T, p *pod) { p.conf.CNIVersion = "0.3.1" }},
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
	tn := newTenant(t)
	tn.bridges(t, "green")
	p := tn.pod(t, `[{"name":"green"}]`)
	p.add(t)
	conf := json.RawMessage(`{"cniVersion": "1.0.0", "name": "` + defaultNet + `", "type": "kactus", "cniDir": "` + p.conf.CNIDir + `", "delegates": "green"}`)
	if _, err := p.start(t, "DEL", conf, p.runtime()).wait(t); err != nil {
		t.Errorf("DEL: %v", err)
	}
	p.expectGone(t)
}

func TestDelAgain(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green")
	t.Run("of a container whose record was lost undoes what the netconf makes", func(t *testing.T) {
		p := tn.podWith(t, nil)
		p.add(t)
		if err := os.Remove(p.recordPath()); err != nil {
			t.Fatal(err)
		}
		p.del(t)
		p.expectGone(t)
	})
}

func TestDelWithoutNetns(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green")
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
