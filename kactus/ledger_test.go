package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// testLedger is a ledger with one container, whose network namespace went with the last boot of the
// node: the attachment eth0, and the orphan net1.
type testLedger struct {
	dir   string
	flags []string
}

func newTestLedger(t *testing.T) testLedger {
	t.Helper()
	dir := t.TempDir()
	l, err := ledger.Open(dir+"/ledger", dir+"/locks")
	must(t, err)
	locked, err := l.Lock(t.Context(), "0123456789abcdef")
	must(t, err)
	defer locked.Close()
	ns, pod := netns.ID{Path: "/run/netns/x", BootID: "another"}, podargs.Pod{Namespace: "tenant", Name: "app"}
	attachments := []ledger.Attachment{planned(t, "default", "eth0"), planned(t, "green", "net1")}
	must(t, locked.WritePlanned(t.Context(), ns, pod, "eth0", attachments))
	must(t, locked.MarkAttached(map[string]json.RawMessage{"eth0": json.RawMessage(`{"cniVersion": "1.0.0",
		"interfaces": [{"name": "eth0", "mac": "0a:00:00:00:00:01", "sandbox": "/run/netns/x"}],
		"ips": [{"interface": 0, "address": "10.0.0.5/24"}]}`)}))
	must(t, locked.Orphan("net1", time.Now(), errors.New("its DEL keeps failing"), nil))
	return testLedger{dir: dir, flags: []string{"-cni-dir", dir + "/ledger", "-lock-dir", dir + "/locks"}}
}

// planned returns an attachment of two hours ago, of the plugin script.
func planned(t *testing.T, network, ifName string) ledger.Attachment {
	t.Helper()
	chain, err := cniconf.Parse([]byte(`{"type": "script", "cniVersion": "1.0.0"}`), cniconf.Defaults{Name: network})
	must(t, err)
	return ledger.Attachment{
		Attachment: plan.Attachment{Network: network, IfName: ifName, Config: chain},
		State:      ledger.Planned,
		Created:    time.Now().Add(-2 * time.Hour),
	}
}

func (l testLedger) run(subcommand string, args ...string) ran {
	return run(nil, "", append(append([]string{subcommand}, l.flags...), args...)...)
}

// script installs the delegate's plugin.
func (l testLedger) script(t *testing.T, script string) (flags []string) {
	t.Helper()
	dir := l.dir + "/bin"
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(dir+"/script", []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	return []string{"-bin-dir", dir}
}

// cells returns a table's lines, whose cells are separated by one space.
func cells(table string) []string {
	var lines []string
	for line := range strings.Lines(table) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

func expectTable(t *testing.T, got ran, code int, lines ...string) {
	t.Helper()
	if table := cells(got.stdout); got.code != code || strings.Join(table, "\n") != strings.Join(lines, "\n") {
		t.Errorf("exit code %d, want %d: %s%s", got.code, code, got.stdout, got.stderr)
	}
}

func TestList_PrintsAttachments(t *testing.T) {
	l := newTestLedger(t)
	const heading = "POD CONTAINER NETWORK INTERFACE MAC IPS STATE AGE"
	expectTable(t, l.run("list"), 0, heading,
		"tenant/app 0123456789abc default eth0 0a:00:00:00:00:01 10.0.0.5/24 attached 2h")
	expectTable(t, l.run("list", "-orphans"), 0, heading, "tenant/app 0123456789abc green net1 - - orphan 2h")
	t.Run("as JSON", func(t *testing.T) {
		var all []map[string]any
		must(t, json.Unmarshal([]byte(l.run("list", "-o", "json").stdout), &all))
		if len(all) != 1 || all[0]["device"] != "eth0" || all[0]["containerID"] != "0123456789abcdef" {
			t.Errorf("got %v", all)
		}
	})
	t.Run("of a ledger that is missing", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "missing")
		expectTable(t, run(nil, "", "list", "-cni-dir", dir), 0, heading)
	})
	t.Run("and reports a corrupt record", func(t *testing.T) {
		must(t, os.WriteFile(l.dir+"/ledger/c2.json", []byte("{"), 0o600))
		got := l.run("list")
		if got.code != 1 || len(cells(got.stdout)) != 2 {
			t.Errorf("got %+v", got)
		}
		expectAll(t, "stderr", got.stderr, []string{"kactus: list: ", "c2", "corrupt"})
	})
}

func TestCheck_ReportsWhatIsNotThere(t *testing.T) {
	l := newTestLedger(t)
	got := l.run("check")
	lines := cells(got.stdout)
	const heading = "POD CONTAINER NETWORK INTERFACE STATUS"
	if got.code != 1 || len(lines) < 2 || lines[0] != heading || strings.HasSuffix(lines[1], " ok") {
		t.Errorf("got %+v", got)
	}
	t.Run("in an empty ledger, that is nothing", func(t *testing.T) {
		got := run(nil, "", "check", "-o", "json", "-cni-dir", t.TempDir())
		if got.code != 0 || strings.TrimSpace(got.stdout) != "[]" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestGC_ReclaimsWhatAGoneNamespaceHad(t *testing.T) {
	const (
		heading = "POD CONTAINER NETWORK INTERFACE STATE RESULT"
		eth0    = "tenant/app 0123456789abc default eth0 attached "
		net1    = "tenant/app 0123456789abc green net1 orphan "
	)
	l := newTestLedger(t)
	t.Run("a dry run only lists it", func(t *testing.T) {
		bin := l.script(t, "touch "+l.dir+"/ran")
		got := l.run("gc", append(bin, "-dry-run")...)
		expectTable(t, got, 0, heading, eth0+"would be torn down", net1+"would be torn down")
		if _, err := os.Stat(l.dir + "/ran"); err == nil {
			t.Error("the delegate ran")
		}
	})
	t.Run("what cannot be torn down is left", func(t *testing.T) {
		got := l.run("gc", l.script(t, `[ $CNI_IFNAME = eth0 ] || { echo '{"code": 7, "msg": "stuck"}'; exit 1; }`)...)
		expectTable(t, got, 1, heading, eth0+"torn down", net1+"left")
		expectAll(t, "stderr", got.stderr, []string{"kactus: gc: ", "network green", "stuck"})
	})
	t.Run("with the plugins of CNI_PATH", func(t *testing.T) {
		bin := l.script(t, "")
		got := run(map[string]string{"CNI_PATH": bin[1]}, "", append([]string{"gc"}, l.flags...)...)
		expectTable(t, got, 0, heading, net1+"torn down")
	})
	t.Run("then nothing is left", func(t *testing.T) {
		expectTable(t, l.run("gc"), 0, "nothing to reclaim")
	})
	t.Run("a corrupt record is left alone", func(t *testing.T) {
		must(t, os.WriteFile(l.dir+"/ledger/c2.json", []byte("{"), 0o600))
		got := l.run("gc")
		expectTable(t, got, 0, "nothing to reclaim")
		expectAll(t, "stderr", got.stderr, []string{"left alone", "c2", "corrupt"})
	})
}

func TestGC_LeavesAnotherMountNamespaceAlone(t *testing.T) {
	dir := t.TempDir()
	l, err := ledger.Open(dir+"/ledger", dir+"/locks")
	must(t, err)
	locked, err := l.Lock(t.Context(), "c1")
	must(t, err)
	ns, err := netns.Own()
	must(t, err)
	ns.Path, ns.Mounts = "/nonexistent", ns.Mounts+1
	attachments := []ledger.Attachment{planned(t, "default", "eth0")}
	must(t, locked.WritePlanned(t.Context(), ns, podargs.Pod{}, "eth0", attachments))
	locked.Close()
	got := run(nil, "", "gc", "-cni-dir", dir+"/ledger", "-lock-dir", dir+"/locks")
	expectTable(t, got, 0, "nothing to reclaim")
	expectAll(t, "stderr", got.stderr, []string{"left alone", "the container c1", "not visible"})
}

func TestPredecessor_ListCheckAndGC(t *testing.T) {
	dir := t.TempDir()
	const record = `[{"type": "ptp", "name": "main", "masterPlugin": true},
		{"type": "vlan", "name": "green-net", "networkName": "green"}]`
	must(t, os.WriteFile(dir+"/0123456789abcdef", []byte(record), 0o600))
	expectTable(t, run(nil, "", "list", "-cni-dir", dir), 0, "POD CONTAINER NETWORK INTERFACE MAC IPS STATE AGE",
		"- 0123456789abc main eth0 - - attached 0s", "- 0123456789abc green net9f27410725ab - - attached 0s")
	expectTable(t, run(nil, "", "check", "-cni-dir", dir), 0, "POD CONTAINER NETWORK INTERFACE STATUS",
		"- 0123456789abc main eth0 unknown", "- 0123456789abc green net9f27410725ab unknown")
	got := run(nil, "", "gc", "-cni-dir", dir, "-lock-dir", dir+"/locks")
	expectTable(t, got, 0, "nothing to reclaim")
	expectAll(t, "stderr", got.stderr, []string{"left alone", "0123456789abcdef", "not recorded"})
}
