package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

func TestPodsAtOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 10} {
		t.Run(fmt.Sprintf("%d get their networks, each address once", n), func(t *testing.T) {
			tn := newTenant(t)
			tn.bridges(t, "green", "blue")
			var pods []*pod
			for range n {
				pods = append(pods, tn.pod(t, `[{"name":"green"},{"name":"blue"}]`))
			}
			atOnce(t, "ADD", pods)
			addrs := map[string]bool{}
			for _, p := range pods {
				p.expectDevices(t, "eth0", greenDevice, blueDevice)
				p.expectLedger(t, "attached", "eth0", greenDevice, blueDevice)
				for _, device := range []string{"eth0", greenDevice, blueDevice} {
					addrs[p.addr(t, device)] = true
				}
			}
			if len(addrs) != 3*n {
				t.Errorf("%d addresses; want %d", len(addrs), 3*n)
			}
			tn.expectLeases(t, "green", n)
			atOnce(t, "DEL", pods)
			for _, p := range pods {
				p.expectGone(t)
			}
			if left := fileNames(t, tn.conf.CNIDir); len(left) > 0 {
				t.Errorf("left in the ledger: %q", left)
			}
		})
	}
}

func atOnce(t *testing.T, verb string, pods []*pod) {
	t.Helper()
	var all []*running
	for _, p := range pods {
		all = append(all, p.start(t, verb, p.conf, p.runtime()))
	}
	for _, r := range all {
		if _, err := r.wait(t); err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
	}
}

func TestHotAddsOfOnePodAtOnce(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green", "blue", "data")
	p := tn.podWith(t, nil)
	p.add(t)
	var all []*running
	for _, name := range []string{"green", "blue", "data", "green", "blue"} {
		all = append(all, p.start(t, "ADD", p.agentConf(), p.agent(name, "")))
	}
	for _, r := range all {
		if _, err := r.wait(t); err != nil {
			t.Error(err)
		}
	}
	t.Run("give each network once", func(t *testing.T) {
		p.expectDevices(t, "eth0", greenDevice, blueDevice, dataDevice)
		p.expectLedger(t, "attached", "eth0", greenDevice, blueDevice, dataDevice)
		for _, name := range []string{"green", "blue", "data"} {
			tn.expectLeases(t, name, 1)
		}
	})
	p.del(t)
	p.expectGone(t)
}

func TestPing(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green", "blue")
	one, two := tn.pod(t, `[{"name":"green"},{"name":"blue"}]`), tn.pod(t, `[{"name":"green"}]`)
	one.add(t)
	two.add(t)
	two.hotAdd(t, "blue")
	for name, device := range map[string]string{"the default network": "eth0", "green": greenDevice, "blue, a hot network of one": blueDevice} {
		t.Run("two Pods reach each other over "+name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "nsenter", "--net="+one.netns, "ping", "-c", "1", "-W", "5", "-I", device, two.addr(t, device))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("ping: %v: %s", err, out)
			}
		})
	}
	one.del(t)
	two.del(t)
	one.expectGone(t)
	two.expectGone(t)
}

func TestRequests(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green", "blue", "data")
	get := func(path string) string { return "get " + path + ": 200" }
	p := tn.pod(t, `[{"name":"green"},{"name":"blue"}]`)
	t.Run("of an ADD are one for the Pod, and one for each Network", func(t *testing.T) {
		asked := requests(t, tn.namespace, func() { p.add(t) })
		want := []string{get(podsPath(tn.namespace) + "/" + p.name)}
		for _, name := range []string{"green", "blue"} {
			want = append(want, get(networksPath(tn.namespace)+"/"+name))
		}
		expectSame(t, "requests", asked, want)
		if len(asked) > 0 && !strings.Contains(asked[0], "/pods/") {
			t.Errorf("the first request is %s; want the Pod's", asked[0])
		}
	})
	t.Run("of a hot ADD are the one for its Network", func(t *testing.T) {
		asked := requests(t, tn.namespace, func() { p.hotAdd(t, "data") })
		expectSame(t, "requests", asked, []string{get(networksPath(tn.namespace) + "/data")})
	})
	t.Run("of a hot DEL are none", func(t *testing.T) {
		expectSame(t, "requests", requests(t, tn.namespace, func() { p.hotDel(t, "data") }), nil)
	})
	t.Run("of a DEL are none", func(t *testing.T) {
		expectSame(t, "requests", requests(t, tn.namespace, func() { p.del(t) }), nil)
		p.expectGone(t)
	})
}
