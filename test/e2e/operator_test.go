package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

// byHand runs a subcommand of kactus that looks at the tenant's ledger.
func (tn *tenant) byHand(t *testing.T, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(suite.kactus, "kactus"), append(args, "-cni-dir", tn.conf.CNIDir)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "CNI_PATH=" + strings.Join(tn.path, ":")}
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	t.Logf("kactus %s\n%s%s", strings.Join(args, " "), &out, &stderr)
	return out.String(), cmd.ProcessState.ExitCode()
}

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
	tn := newTenant(t)
	tn.bridges(t, "green")
	p := tn.pod(t, `[{"name":"green"}]`)
	p.add(t)
	whose := tn.namespace + "/" + p.name
	t.Run("list shows each attachment with its addresses", func(t *testing.T) {
		table, code := tn.byHand(t, "list")
		expectRows(t, table,
			[]string{whose, p.id[:9], defaultNet, "eth0", p.mac(t, "eth0"), p.addrs(t, "eth0")[0], "attached", "s"},
			[]string{whose, "green", greenDevice, p.mac(t, greenDevice), p.addrs(t, greenDevice)[0], "attached"})
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("list shows them to a program", func(t *testing.T) {
		out, code := tn.byHand(t, "list", "-o", "json")
		var all []struct {
			Namespace, Pod, ContainerID, Network, Device, MAC, State string
			IPs                                                      []string
			Created                                                  time.Time
		}
		succeed(t, json.Unmarshal([]byte(out), &all))
		if len(all) != 2 || code != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
		a := all[1]
		if a.Namespace != tn.namespace || a.Pod != p.name || a.ContainerID != p.id || a.Network != "green" || a.Device != greenDevice ||
			a.MAC != p.mac(t, greenDevice) || a.State != "attached" || a.IPs[0] != p.addrs(t, greenDevice)[0] || time.Since(a.Created) > time.Minute {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("list shows no orphans, of which there are none", func(t *testing.T) {
		if out, code := tn.byHand(t, "list", "--orphans", "-o", "json"); strings.TrimSpace(out) != "[]" || code != 0 {
			t.Errorf("exit code %d: %s", code, out)
		}
	})
	t.Run("check finds nothing", func(t *testing.T) {
		table, code := tn.byHand(t, "check")
		expectRows(t, table, []string{whose, "eth0", "ok"}, []string{whose, greenDevice, "ok"})
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("check finds what is off", func(t *testing.T) {
		in(t, p.netns, func(h handle) { succeed(t, h.LinkDel(p.link(t, greenDevice))) })
		table, code := tn.byHand(t, "check")
		expectRows(t, table, []string{whose, "eth0", "ok"}, []string{whose, greenDevice, "no such device"})
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
	})
	p.del(t)
	p.expectGone(t)
}

func TestListAndCheckWhileAVerbRuns(t *testing.T) {
	t.Parallel()
	p, g := gated(t, "ADD")
	add := p.start(t, "ADD", p.conf, p.runtime())
	g.await(t)
	table, _ := p.byHand(t, "list")
	expectRows(t, table, []string{"eth0", "planned"}, []string{greenDevice, "planned"}, []string{slowDevice, "planned"})
	table, code := p.byHand(t, "check")
	expectRows(t, table, []string{"eth0", "busy"}, []string{greenDevice, "busy"}, []string{slowDevice, "busy"})
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	if out, _ := p.byHand(t, "gc"); out != "nothing to undo\n" {
		t.Errorf("gc says %q", out)
	}
	g.open(t)
	if _, err := add.wait(t); err != nil {
		t.Error(err)
	}
	p.del(t)
	p.expectGone(t)
}

func TestGCByHand(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green")
	tn.script(t, "passing", "exec "+suite.plugins+"/macvlan\n")
	tn.network(t, "data", `{"type": "passing", "master": "`+node.Uplink+`", "ipam": `+tn.hostLocal(t)+`}`)
	live, lost, parked := tn.pod(t, `[{"name":"green"}]`), tn.pod(t, `[{"name":"green"}]`), tn.pod(t, `[{"name":"data"}]`)
	for _, p := range []*pod{live, lost, parked} {
		p.add(t)
	}
	succeed(t, os.Remove(filepath.Join(tn.path[0], "passing")))
	parked.del(t)
	loseNetns(t, lost.netns)
	loseNetns(t, parked.netns)
	// The kernel may have given the namespaces' numbers to another test's: the node was started again, so that they are gone for sure.
	lost.reboot(t)
	parked.reboot(t)
	before, code := tn.byHand(t, "gc", "--dry-run")
	expectRows(t, before, []string{lost.name, "eth0", "would be undone"}, []string{lost.name, greenDevice, "would be undone"},
		[]string{parked.name, dataDevice, "orphan", "would be undone"})
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	tn.expectLeases(t, "green", 2)
	orphans, _ := tn.byHand(t, "list", "--orphans")
	expectRows(t, orphans, []string{parked.name, dataDevice, "orphan"})

	table, code := tn.byHand(t, "gc")
	expectRows(t, table, []string{lost.name, "eth0", " undone"}, []string{lost.name, greenDevice, " undone"}, []string{dataDevice, "left"})
	if code != 1 {
		t.Errorf("with something left, the exit code is %d", code)
	}
	lost.expectNoRecord(t)
	expectSame(t, "leases of green", tn.leases(t, "green"), []string{live.addr(t, greenDevice)})
	live.expectLedger(t, "attached", "eth0", greenDevice)

	tn.script(t, "passing", "exec "+suite.plugins+"/macvlan\n")
	if _, code := tn.byHand(t, "gc"); code != 0 {
		t.Errorf("exit code %d", code)
	}
	parked.expectNoRecord(t)
	live.del(t)
	live.expectGone(t)
}

// reboot makes the Pod's record one of before the node was last started.
func (p *pod) reboot(t *testing.T) {
	t.Helper()
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	succeed(t, err)
	data, err := os.ReadFile(p.recordPath())
	succeed(t, err)
	old := strings.ReplaceAll(string(data), strings.TrimSpace(string(bootID)), "00000000-0000-0000-0000-000000000000")
	succeed(t, os.WriteFile(p.recordPath(), []byte(old), 0o600))
}
