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
)

// expectRows fails the test if the table does not have, below its heading, one row for each element
// of want, with all of its words.
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

func TestListAndCheck(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	p := tn.NewPod(t, `[{"name":"green"}]`)
	p.Add(t)
	whose := tn.Namespace + "/" + p.Name
	t.Run("list prints each attachment with its addresses", func(t *testing.T) {
		table, code := tn.Subcommand(t, "list")
		expectRows(t, table,
			[]string{whose, p.ID[:9], kactustest.DefaultNetwork, "eth0", p.MAC(t, "eth0"), p.Addrs(t, "eth0")[0],
				"attached", "s"},
			[]string{whose, "green", kactustest.GreenIfName, p.MAC(t, kactustest.GreenIfName),
				p.Addrs(t, kactustest.GreenIfName)[0], "attached"})
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("list prints JSON", func(t *testing.T) {
		out, code := tn.Subcommand(t, "list", "-o", "json")
		var all []struct {
			Namespace, Pod, ContainerID, Network, MAC, State string
			IfName                                           string `json:"device"`
			IPs                                              []string
			Created                                          time.Time
		}
		kactustest.Must(t, json.Unmarshal([]byte(out), &all))
		if len(all) != 2 || code != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
		a := all[1]
		if a.Namespace != tn.Namespace || a.Pod != p.Name || a.ContainerID != p.ID || a.Network != "green" ||
			a.IfName != kactustest.GreenIfName ||
			a.MAC != p.MAC(t, kactustest.GreenIfName) || a.State != "attached" ||
			a.IPs[0] != p.Addrs(t, kactustest.GreenIfName)[0] || time.Since(a.Created) > time.Minute {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("list --orphans prints nothing", func(t *testing.T) {
		if out, code := tn.Subcommand(t, "list", "--orphans", "-o", "json"); strings.TrimSpace(out) != "[]" ||
			code != 0 {
			t.Errorf("exit code %d: %s", code, out)
		}
	})
	t.Run("check passes", func(t *testing.T) {
		table, code := tn.Subcommand(t, "check")
		expectRows(t, table, []string{whose, "eth0", "ok"}, []string{whose, kactustest.GreenIfName, "ok"})
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("check reports a missing interface", func(t *testing.T) {
		p.DeleteLink(t, kactustest.GreenIfName)
		table, code := tn.Subcommand(t, "check")
		expectRows(t, table, []string{whose, "eth0", "ok"}, []string{whose, kactustest.GreenIfName, "no such"})
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
	})
	p.Del(t)
	p.ExpectGone(t)
}

func TestListAndCheck_DuringOperation(t *testing.T) {
	t.Parallel()
	p, g := newGatedPod(t, "ADD")
	add := p.Start(t, "ADD", p.Conf, p.Runtime())
	g.Await(t)
	table, _ := p.Subcommand(t, "list")
	expectRows(t, table, []string{"eth0", "planned"}, []string{kactustest.GreenIfName, "planned"},
		[]string{kactustest.IfName("slow"), "planned"})
	table, code := p.Subcommand(t, "check")
	expectRows(t, table, []string{"eth0", "busy"}, []string{kactustest.GreenIfName, "busy"},
		[]string{kactustest.IfName("slow"), "busy"})
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	if out, _ := p.Subcommand(t, "gc"); out != "nothing to reclaim\n" {
		t.Errorf("gc printed %q", out)
	}
	g.Open(t)
	if _, err := add.Wait(t); err != nil {
		t.Error(err)
	}
	p.Del(t)
	p.ExpectGone(t)
}

func TestGCCommand(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	tn.AddScript(t, "passing", "exec "+kactustest.PluginDir()+"/macvlan\n")
	tn.CreateNetwork(t, "data", `{"type": "passing", "master": "`+node.Uplink+`", "ipam": `+tn.HostLocal(t)+`}`)
	live, lost, failed := tn.NewPod(t, `[{"name":"green"}]`), tn.NewPod(t, `[{"name":"green"}]`),
		tn.NewPod(t, `[{"name":"data"}]`)
	for _, p := range []*kactustest.Pod{live, lost, failed} {
		p.Add(t)
	}
	kactustest.Must(t, os.Remove(filepath.Join(tn.Path[0], "passing")))
	if err := failed.DelWith(t, failed.Conf, failed.Runtime()); err == nil {
		t.Error("DEL without the plugin succeeded")
	}
	lost.LoseNetns()
	failed.LoseNetns()
	// The kernel may have given the namespaces' inode numbers to those of another test.
	lost.PretendReboot(t)
	failed.PretendReboot(t)
	before, code := tn.Subcommand(t, "gc", "--dry-run")
	expectRows(t, before, []string{lost.Name, "eth0", "would be torn down"},
		[]string{lost.Name, kactustest.GreenIfName, "would be torn down"},
		[]string{failed.Name, kactustest.DataIfName, "attached", "would be torn down"})
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	tn.ExpectLeases(t, "green", 2)

	table, code := tn.Subcommand(t, "gc")
	expectRows(t, table, []string{lost.Name, "eth0", " torn down"},
		[]string{lost.Name, kactustest.GreenIfName, " torn down"}, []string{kactustest.DataIfName, "left"})
	if code != 1 {
		t.Errorf("exit code %d with something left", code)
	}
	lost.ExpectNoRecord(t)
	kactustest.ExpectSame(t, "leases of green", tn.Leases(t, "green"), []string{live.Addr(t, kactustest.GreenIfName)})
	live.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName)

	tn.AddScript(t, "passing", "exec "+kactustest.PluginDir()+"/macvlan\n")
	if _, code := tn.Subcommand(t, "gc"); code != 0 {
		t.Errorf("exit code %d", code)
	}
	failed.ExpectNoRecord(t)
	live.Del(t)
	live.ExpectGone(t)
}
