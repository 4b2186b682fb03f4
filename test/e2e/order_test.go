package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOrder(t *testing.T) {
	t.Parallel()
	t.Run("the plan is in the ledger before the first delegate runs, which is the master", func(t *testing.T) {
		tn := newTenant(t)
		g := tn.gate(t, "slow", "ADD")
		tn.delegates(`{"masterPlugin": true, ` + tn.gatedBridge(t, "slow") + `}`)
		tn.bridges(t, "green", "blue")
		p := tn.pod(t, `[{"name":"green"},{"name":"blue"}]`)
		add := p.start(t, "ADD", p.conf, p.runtime())
		g.await(t)
		p.expectLedger(t, "planned", "eth0", greenDevice, blueDevice)
		p.expectDevices(t)
		if ran := fileNames(t, tn.leaseDir()); len(ran) > 0 {
			t.Errorf("delegates of %q ran before the master", ran)
		}
		g.open(t)
		if _, err := add.wait(t); err != nil {
			t.Fatalf("ADD: %v", err)
		}
		p.expectDevices(t, "eth0", greenDevice, blueDevice)
		p.del(t)
		p.expectGone(t)
	})
	t.Run("auxiliary delegates run at once", func(t *testing.T) {
		tn := newTenant(t)
		one, two := tn.gate(t, "one", "ADD"), tn.gate(t, "two", "ADD")
		for _, name := range []string{"one", "two"} {
			tn.network(t, name, "{"+tn.gatedBridge(t, name)+"}")
		}
		p := tn.pod(t, `[{"name":"one"},{"name":"two"}]`)
		add := p.start(t, "ADD", p.conf, p.runtime())
		one.await(t)
		two.await(t)
		two.open(t)
		one.open(t)
		if _, err := add.wait(t); err != nil {
			t.Fatalf("ADD: %v", err)
		}
		p.expectDevices(t, "eth0", deviceName("one"), deviceName("two"))
		p.del(t)
		p.expectGone(t)
	})
	t.Run("eth0 is made first, and undone last", func(t *testing.T) {
		tn := newTenant(t)
		order := filepath.Join(tn.dir, "order")
		tn.script(t, "tells", `echo "$CNI_COMMAND $CNI_IFNAME" >>`+order+"\nexec "+suite.plugins+"/bridge\n")
		tn.delegates(`{"masterPlugin": true, ` + strings.Replace(tn.bridge(t, "eth"), `"bridge"`, `"tells"`, 1) + `}`)
		tn.network(t, "green", "{"+strings.Replace(tn.bridge(t, "green"), `"bridge"`, `"tells"`, 1)+"}")
		p := tn.pod(t, `[{"name":"green"}]`)
		p.add(t)
		p.del(t)
		data, err := os.ReadFile(order)
		want := "ADD eth0\nADD " + greenDevice + "\nDEL " + greenDevice + "\nDEL eth0\n"
		if err != nil || string(data) != want {
			t.Errorf("the delegates ran as %q, %v; want %q", data, err, want)
		}
		p.expectGone(t)
	})
}

// A ledger that cannot be written must not lead to networks that nobody knows of, nor to such that nobody can undo.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	tn := newTenant(t)
	tn.bridges(t, "green", "blue")
	tn.conf.CNIDir = filepath.Join(tn.dir, "disk")
	if err := os.Mkdir(tn.conf.CNIDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", tn.conf.CNIDir, "tmpfs", 0, "size=128k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(tn.conf.CNIDir, 0); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(tn.conf.CNIDir, "filler")
	fill := func(t *testing.T) {
		t.Helper()
		if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err == nil {
			t.Fatal("the disk is not full")
		}
	}
	p := tn.pod(t, `[{"name":"green"}]`)
	t.Run("refuses an ADD, and nothing is touched", func(t *testing.T) {
		fill(t)
		expectError(t, p.addError(t), 5, "ledger")
		p.expectUntouched(t)
	})
	t.Run("refuses a hot ADD, and nothing is touched", func(t *testing.T) {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		p.add(t)
		fill(t)
		expectError(t, p.hotAddError(t, "blue"), 5, "ledger")
		p.expectDevices(t, "eth0", greenDevice)
		p.expectLedger(t, "attached", "eth0", greenDevice)
		tn.expectLeases(t, "blue", 0)
	})
	t.Run("does not keep a DEL from undoing all", func(t *testing.T) {
		p.del(t)
		p.expectGone(t)
	})
}
