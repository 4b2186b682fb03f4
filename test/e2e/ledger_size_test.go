package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

const largeContainers = 10_000

// largeLedger is a ledger of 10,000 containers and 71 MB, whose network namespaces went with the
// last boot. Each has three attachments, one of which failed long-windedly.
func largeLedger(t *testing.T) (dir string, ids []string) {
	t.Helper()
	dir = t.TempDir()
	l, err := ledger.Open(dir+"/ledger", dir+"/locks")
	kactustest.Must(t, err)
	const template = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789000000"
	r, err := l.Lock(t.Context(), template)
	kactustest.Must(t, err)
	chain, err := cniconf.Parse([]byte(`{"type": "script", "cniVersion": "1.1.0",
		"padding": "`+strings.Repeat("x", 1080)+`"}`), cniconf.Defaults{Name: "n"})
	kactustest.Must(t, err)
	var planned []ledger.Attachment
	results := map[string]json.RawMessage{}
	for _, ifName := range []string{"eth0", "net1", "net2"} {
		planned = append(planned, ledger.Attachment{
			Attachment: plan.Attachment{Network: "n-" + ifName, IfName: ifName, Config: chain},
			State:      ledger.Planned, Created: time.Now().Add(-time.Hour),
		})
		results[ifName] = json.RawMessage(`{"cniVersion": "1.0.0", "interfaces": [{"name": "` + ifName + `",
			"mac": "0a:00:00:00:00:01", "sandbox": "/run/netns/x"}],
			"ips": [{"interface": 0, "address": "10.0.0.5/24"}]}`)
	}
	ns, pod := netns.ID{Path: "/run/netns/x", BootID: "another"}, podargs.Pod{Namespace: "tenant", Name: "app"}
	kactustest.Must(t, r.WritePlanned(t.Context(), ns, pod, "eth0", planned))
	kactustest.Must(t, r.MarkAttached(results))
	kactustest.Must(t, r.MarkFailed("net1", time.Now(), fmt.Errorf("%s", strings.Repeat("stuck ", 420)), nil))
	r.Close()
	path := dir + "/ledger/" + template + ".json"
	data, err := os.ReadFile(path)
	kactustest.Must(t, err)
	kactustest.Must(t, os.Remove(path))
	if total := len(data) * largeContainers; total < 71e6 {
		t.Fatalf("the ledger has %d bytes", total)
	}
	for i := range largeContainers {
		id := fmt.Sprintf("%s%06d", template[:len(template)-6], i)
		own := bytes.ReplaceAll(data, []byte(template), []byte(id))
		kactustest.Must(t, os.WriteFile(dir+"/ledger/"+id+".json", own, 0o600))
		ids = append(ids, id)
	}
	return dir, ids
}

// An operator runs these beside the Pods of the node, and the runtime runs GC, whatever the ledger
// has grown to.
func TestLargeLedger_FitsInMemory(t *testing.T) {
	dir, ids := largeLedger(t)
	flags := []string{"-cni-dir", dir + "/ledger", "-lock-dir", dir + "/locks"}
	for name, c := range map[string]struct {
		args  []string
		lines int
	}{
		"list":           {[]string{"list"}, 3*largeContainers + 1},
		"list as JSON":   {[]string{"list", "-o", "json"}, 0},
		"check":          {[]string{"check"}, 3*largeContainers + 1},
		"check as JSON":  {[]string{"check", "-o", "json"}, 0},
		"gc, as dry run": {[]string{"gc", "-dry-run"}, 3*largeContainers + 1},
	} {
		t.Run(name, func(t *testing.T) {
			stdout := runWithinMemory(t, nil, "", append([]string{c.args[0]}, append(flags, c.args[1:]...)...)...)
			if got := bytes.Count(stdout, []byte("\n")); c.lines != 0 && got != c.lines {
				t.Errorf("%d lines, want %d", got, c.lines)
			}
			var all []struct{ ContainerID string }
			if c.lines != 0 {
				return
			}
			kactustest.Must(t, json.Unmarshal(stdout, &all))
			if len(all) != 3*largeContainers || all[0].ContainerID != ids[0] {
				t.Errorf("%d elements", len(all))
			}
		})
	}
	t.Run("the operation GC, with all containers listed", func(t *testing.T) {
		valid := make([]string, len(ids))
		for i, id := range ids {
			valid[i] = `{"containerID": "` + id + `", "ifname": "eth0"}`
		}
		stdin := `{"cniVersion": "1.1.0", "name": "n", "type": "kactus", "cniDir": "` + dir + `/ledger",
			"lockDir": "` + dir + `/locks",
			"delegates": [{"type": "script", "masterPlugin": true, "cniVersion": "1.0.0"}],
			"cni.dev/valid-attachments": [` + strings.Join(valid, ",") + `]}`
		// The delegate reports how much its parent has used so far.
		script := "#!/bin/sh\ngrep VmHWM /proc/$PPID/status >" + dir + "/peak\n"
		kactustest.Must(t, os.WriteFile(dir+"/script", []byte(script), 0o755))
		for range 10 { // a GC ends after its time, and this machine may have other things to do
			stdout, err := tryWithinMemory(t, []string{"CNI_COMMAND=GC", "CNI_PATH=" + dir}, stdin)
			if err == nil {
				break
			}
			if !bytes.Contains(stdout, []byte("the limit of forwarding")) {
				t.Fatalf("%v: %.500s", err, stdout)
			}
		}
		status, err := os.ReadFile(dir + "/peak")
		kactustest.Must(t, err)
		expectSmall(t, peakOf(status))
	})
}

// runWithinMemory runs kactus, as tryWithinMemory does. It must not fail, unless it is a check.
func runWithinMemory(t *testing.T, env []string, stdin string, args ...string) []byte {
	t.Helper()
	stdout, err := tryWithinMemory(t, env, stdin, args...)
	if err != nil && !slices.Contains(args, "check") {
		t.Errorf("%v: %.500s", err, stdout)
	}
	return stdout
}

// tryWithinMemory runs kactus, and looks how much memory it has used each time it prints something.
func tryWithinMemory(t *testing.T, env []string, stdin string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), kactustest.KactusPath(), args...)
	cmd.Env, cmd.Stdin = env, strings.NewReader(stdin)
	out, err := cmd.StdoutPipe()
	kactustest.Must(t, err)
	kactustest.Must(t, cmd.Start())
	var stdout bytes.Buffer
	peak, chunk := 0, make([]byte, 4<<10)
	for {
		n, err := out.Read(chunk)
		stdout.Write(chunk[:n])
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)); err == nil {
			peak = max(peak, peakOf(status))
		}
		if err != nil {
			break
		}
	}
	if stdout.Len() > 0 {
		expectSmall(t, peak)
	}
	return stdout.Bytes(), cmd.Wait()
}

// peakOf returns the peak of the resident memory, in KiB, that a status of /proc has.
func peakOf(status []byte) (kib int) {
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	_, _ = fmt.Sscan(string(rest), &kib)
	return kib
}

func expectSmall(t *testing.T, kib int) {
	t.Helper()
	t.Logf("peak: %d KiB", kib)
	if kib == 0 || kib > 64<<10 {
		t.Errorf("the peak of the resident memory is %d KiB, limit is 64 MiB", kib)
	}
}
