package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestOperations_PodsAtOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 10} {
		t.Run(fmt.Sprintf("%d Pods get different addresses", n), func(t *testing.T) {
			tn := kactustest.NewTenant(t)
			tn.CreateBridgeNetworks(t, "green", "blue")
			var pods []*kactustest.Pod
			for range n {
				pods = append(pods, tn.NewPod(t, `[{"name":"green"},{"name":"blue"}]`))
			}
			atOnce(t, "ADD", pods)
			addrs := map[string]bool{}
			for _, p := range pods {
				p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
				p.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
				for _, ifName := range []string{"eth0", kactustest.GreenIfName, kactustest.BlueIfName} {
					addrs[p.Addr(t, ifName)] = true
				}
			}
			if len(addrs) != 3*n {
				t.Errorf("%d addresses; want %d", len(addrs), 3*n)
			}
			tn.ExpectLeases(t, "green", n)
			atOnce(t, "DEL", pods)
			for _, p := range pods {
				p.ExpectGone(t)
			}
			if left := kactustest.FileNames(t, tn.Conf.CNIDir); len(left) > 0 {
				t.Errorf("left in the ledger: %q", left)
			}
		})
	}
}

func atOnce(t *testing.T, operation string, pods []*kactustest.Pod) {
	t.Helper()
	var all []*kactustest.Process
	for _, p := range pods {
		all = append(all, p.Start(t, operation, p.Conf, p.Runtime()))
	}
	for _, r := range all {
		if _, err := r.Wait(t); err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
	}
}

func TestHotAdd_AtOnce(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", "data")
	p := tn.NewAnnotatedPod(t, nil)
	p.Add(t)
	var all []*kactustest.Process
	for _, name := range []string{"green", "blue", "data", "green", "blue"} {
		all = append(all, p.Start(t, "ADD", p.AgentConf(), p.Agent(name, "")))
	}
	for _, r := range all {
		if _, err := r.Wait(t); err != nil {
			t.Error(err)
		}
	}
	t.Run("attach each network once", func(t *testing.T) {
		p.ExpectInterfaces(t, "eth0", kactustest.GreenIfName, kactustest.BlueIfName, kactustest.DataIfName)
		p.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName, kactustest.BlueIfName, kactustest.DataIfName)
		for _, name := range []string{"green", "blue", "data"} {
			tn.ExpectLeases(t, name, 1)
		}
	})
	p.Del(t)
	p.ExpectGone(t)
}

func TestAdd_Ping(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue")
	one, two := tn.NewPod(t, `[{"name":"green"},{"name":"blue"}]`), tn.NewPod(t, `[{"name":"green"}]`)
	one.Add(t)
	two.Add(t)
	two.HotAdd(t, "blue")
	for name, ifName := range map[string]string{"the default network": "eth0", "green": kactustest.GreenIfName,
		"blue, a hot network of one": kactustest.BlueIfName} {
		t.Run("two Pods reach each other over "+name, func(t *testing.T) {
			ping(t, one, ifName, two.Addr(t, ifName))
		})
	}
	one.Del(t)
	two.Del(t)
	one.ExpectGone(t)
	two.ExpectGone(t)
}

func TestRequests(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", "data")
	get := func(path string) string { return "get " + path + ": 200" }
	p := tn.NewPod(t, `[{"name":"green"},{"name":"blue"}]`)
	t.Run("ADD sends one for the Pod and one for each Network", func(t *testing.T) {
		requests := kactustest.Requests(t, tn.Namespace, func() { p.Add(t) })
		want := []string{get(kactustest.PodsPath(tn.Namespace) + "/" + p.Name)}
		for _, name := range []string{"green", "blue"} {
			want = append(want, get(kactustest.NetworksPath(tn.Namespace)+"/"+name))
		}
		kactustest.ExpectSame(t, "requests", requests, want)
		if len(requests) > 0 && !strings.Contains(requests[0], "/pods/") {
			t.Errorf("the first request is %s; want the Pod's", requests[0])
		}
	})
	t.Run("hot ADD sends one for the Network", func(t *testing.T) {
		requests := kactustest.Requests(t, tn.Namespace, func() { p.HotAdd(t, "data") })
		kactustest.ExpectSame(t, "requests", requests, []string{get(kactustest.NetworksPath(tn.Namespace) + "/data")})
	})
	t.Run("hot DEL sends none", func(t *testing.T) {
		kactustest.ExpectSame(t, "requests", kactustest.Requests(t, tn.Namespace, func() { p.HotDel(t, "data") }), nil)
	})
	t.Run("DEL sends none", func(t *testing.T) {
		kactustest.ExpectSame(t, "requests", kactustest.Requests(t, tn.Namespace, func() { p.Del(t) }), nil)
		p.ExpectGone(t)
	})
}
