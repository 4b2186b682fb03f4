package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
	"github.com/vishvananda/netlink"
)

// expectRows: the table has, after its head, one row for each of want, which holds those words.
func expectRows(t *testing.T, table string, want ...[]string) {
	t.Helper()
	rows := strings.Split(strings.TrimSpace(table), "\n")[1:]
	if len(rows) != len(want) {
		t.Errorf("%d rows; want %d:\n%s", len(rows), len(want), table)
		return
	}
	for i, words := range want {
		for _, word := range words {
			if !strings.Contains(rows[i], word) {
				t.Errorf("row %q; want %q in it", rows[i], word)
			}
		}
	}
}

func TestListAndCheckByHand(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	p := tn.NewPod(t, `[{"name":"green"}]`)
	p.Add(t)
	whose := tn.Namespace + "/" + p.Name
	t.Run("list shows each attachment with its addresses", func(t *testing.T) {
		table, code := tn.Subcommand(t, "list")
		expectRows(t, table,
			[]string{whose, p.ID[:9], kactustest.DefaultNetwork, "eth0", p.MAC(t, "eth0"), p.Addrs(t, "eth0")[0], "attached", "s"},
			[]string{whose, "green", kactustest.GreenIfName, p.MAC(t, kactustest.GreenIfName), p.Addrs(t, kactustest.GreenIfName)[0], "attached"})
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("list shows them to a program", func(t *testing.T) {
		out, code := tn.Subcommand(t, "list", "-o", "json")
		var all []struct {
			Namespace, Pod, ContainerID, Network, Device, MAC, State string
			IPs                                                      []string
			Created                                                  time.Time
		}
		kactustest.Must(t, json.Unmarshal([]byte(out), &all))
		if len(all) != 2 || code != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
		a := all[1]
		if a.Namespace != tn.Namespace || a.Pod != p.Name || a.ContainerID != p.ID || a.Network != "green" || a.Device != kactustest.GreenIfName ||
			a.MAC != p.MAC(t, kactustest.GreenIfName) || a.State != "attached" || a.IPs[0] != p.Addrs(t, kactustest.GreenIfName)[0] || time.Since(a.Created) > time.Minute {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("list shows no orphans, of which there are none", func(t *testing.T) {
		if out, code := tn.Subcommand(t, "list", "--orphans", "-o", "json"); strings.TrimSpace(out) != "[]" || code != 0 {
			t.Errorf("exit code %d: %s", code, out)
		}
	})
	t.Run("check finds nothing", func(t *testing.T) {
		table, code := tn.Subcommand(t, "check")
		expectRows(t, table, []string{whose, "eth0", "ok"}, []string{whose, kactustest.GreenIfName, "ok"})
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("check finds what is off", func(t *testing.T) {
		p.InNetns(t, func(h *netlink.Handle) { kactustest.Must(t, h.LinkDel(p.Link(t, kactustest.GreenIfName))) })
		table, code := tn.Subcommand(t, "check")
		expectRows(t, table, []string{whose, "eth0", "ok"}, []string{whose, kactustest.GreenIfName, "no such device"})
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
	})
	p.Del(t)
	p.ExpectGone(t)
}

func TestListAndCheckWhileAVerbRuns(t *testing.T) {
	t.Parallel()
	p, g := newGatedPod(t, "ADD")
	add := p.Start(t, "ADD", p.Conf, p.Runtime())
	g.Await(t)
	table, _ := p.Subcommand(t, "list")
	expectRows(t, table, []string{"eth0", "planned"}, []string{kactustest.GreenIfName, "planned"}, []string{kactustest.IfName("slow"), "planned"})
	table, code := p.Subcommand(t, "check")
	expectRows(t, table, []string{"eth0", "busy"}, []string{kactustest.GreenIfName, "busy"}, []string{kactustest.IfName("slow"), "busy"})
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	if out, _ := p.Subcommand(t, "gc"); out != "nothing to undo\n" {
		t.Errorf("gc says %q", out)
	}
	g.Open(t)
	if _, err := add.Wait(t); err != nil {
		t.Error(err)
	}
	p.Del(t)
	p.ExpectGone(t)
}

func TestGCByHand(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	tn.AddScript(t, "passing", "exec "+kactustest.PluginDir()+"/macvlan\n")
	tn.CreateNetwork(t, "data", `{"type": "passing", "master": "`+node.Uplink+`", "ipam": `+tn.HostLocal(t)+`}`)
	live, lost, parked := tn.NewPod(t, `[{"name":"green"}]`), tn.NewPod(t, `[{"name":"green"}]`), tn.NewPod(t, `[{"name":"data"}]`)
	for _, p := range []*kactustest.Pod{live, lost, parked} {
		p.Add(t)
	}
	kactustest.Must(t, os.Remove(filepath.Join(tn.Path[0], "passing")))
	parked.Del(t)
	lost.LoseNetns()
	parked.LoseNetns()
	// The kernel may have given the namespaces' numbers to another test's: the node was started again, so that they are gone for sure.
	lost.PretendReboot(t)
	parked.PretendReboot(t)
	before, code := tn.Subcommand(t, "gc", "--dry-run")
	expectRows(t, before, []string{lost.Name, "eth0", "would be undone"}, []string{lost.Name, kactustest.GreenIfName, "would be undone"},
		[]string{parked.Name, kactustest.DataIfName, "orphan", "would be undone"})
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	tn.ExpectLeases(t, "green", 2)
	orphans, _ := tn.Subcommand(t, "list", "--orphans")
	expectRows(t, orphans, []string{parked.Name, kactustest.DataIfName, "orphan"})

	table, code := tn.Subcommand(t, "gc")
	expectRows(t, table, []string{lost.Name, "eth0", " undone"}, []string{lost.Name, kactustest.GreenIfName, " undone"}, []string{kactustest.DataIfName, "left"})
	if code != 1 {
		t.Errorf("with something left, the exit code is %d", code)
	}
	lost.ExpectNoRecord(t)
	kactustest.ExpectSame(t, "leases of green", tn.Leases(t, "green"), []string{live.Addr(t, kactustest.GreenIfName)})
	live.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName)

	tn.AddScript(t, "passing", "exec "+kactustest.PluginDir()+"/macvlan\n")
	if _, code := tn.Subcommand(t, "gc"); code != 0 {
		t.Errorf("exit code %d", code)
	}
	parked.ExpectNoRecord(t)
	live.Del(t)
	live.ExpectGone(t)
}
