package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// run runs a command and returns what it prints, and its exit status.
func run(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errors.String(), cmd.ProcessState.ExitCode()
}

// The watch has the edits of all Pods in their order: once the agent has done that of another Pod,
// it knows of the one that is starting.
func TestAgent_EditWhileThePodStarts(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	gate := tn.NewGate(t, "slow", "ADD")
	tn.CreateBridgeNetworks(t, "green", "data")
	tn.CreateNetwork(t, "slow", "{"+tn.BridgeConfigFor(t, "slow", "slow")+"}")
	tn.StartNodeAgent(t)
	other := newRunningPod(t, tn, noAnnotation)
	p := tn.NewPod(t, `[{"name":"slow"},{"name":"green"}]`)
	add := p.Start(t, "ADD", tn.Conf, p.Runtime())
	gate.Await(t)
	p.Annotate(t, `[{"name":"slow"},{"name":"data"}]`)
	other.Annotate(t, `[{"name":"green"}]`)
	other.EventuallyAttached(t, "eth0", green)
	p.ExpectLedger(t, "planned", "eth0", kactustest.IfName("slow"), green)
	gate.Open(t)
	if _, err := add.Wait(t); err != nil {
		t.Fatalf("ADD: %v", err)
	}
	p.EventuallyAttached(t, "eth0", kactustest.IfName("slow"), data)
	p.EventuallyCondition(t, "True", "Attached")
	other.Del(t)
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_EditWhileItIsDown(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", "data")
	first := tn.StartNodeAgent(t)
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	p.Annotate(t, `[{"name":"green"},{"name":"blue"}]`)
	p.EventuallyAttached(t, "eth0", green, blue)
	first.Signal(t, syscall.SIGTERM)
	<-first.Exited
	if code := first.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d after SIGTERM", code)
	}
	before := p.Indices(t)
	p.ExpectInterfaces(t, "eth0", green, blue)

	p.Annotate(t, `[{"name":"blue"},{"name":"data"}]`)
	tn.StartNodeAgent(t)
	p.EventuallyAttached(t, "eth0", blue, data)
	p.ExpectKept(t, before, "eth0", blue)
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_Once(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "data")
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	t.Run("attaches, tells and exits with 0", func(t *testing.T) {
		p.Annotate(t, `[{"name":"data"}]`)
		if _, stderr, code := run(t, tn.NodeAgentCommand(t, "-once")); code != 0 {
			t.Errorf("exit status %d: %s", code, stderr)
		}
		p.EventuallyAttached(t, "eth0", data)
		p.EventuallyEvent(t, "AddedInterface", data)
		p.EventuallyCondition(t, "True", "Attached")
	})
	t.Run("does what it can, and exits with 1 and the reasons", func(t *testing.T) {
		p.Annotate(t, `[{"name":"missing"},{"name":"green"}]`)
		_, stderr, code := run(t, tn.NodeAgentCommand(t, "-once"))
		if code != 1 {
			t.Errorf("exit status %d; want 1", code)
		}
		expectWords(t, stderr, p.Name, "missing", "not found")
		p.EventuallyAttached(t, "eth0", green)
	})
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_DryRun(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "data")
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	dryRun := func() (stdout string) {
		t.Helper()
		stdout, stderr, code := run(t, tn.NodeAgentCommand(t, "-dry-run"))
		if code != 0 {
			t.Errorf("exit status %d: %s", code, stderr)
		}
		return stdout
	}
	if got := dryRun(); got != "nothing to do\n" {
		t.Errorf("printed %q; want that there is nothing to do", got)
	}
	p.Annotate(t, `[{"name":"data"}]`)
	before := p.Indices(t)
	record := string(p.ReadRecord(t))
	requests := kactustest.AgentRequests(t, tn.Namespace, func() {
		want := fmt.Sprintf("%[1]s/%[2]s: hot DEL of the network green (%[3]s): removed\n"+
			"%[1]s/%[2]s: hot ADD of the network data (%[4]s): added\n", tn.Namespace, p.Name, green, data)
		if got := dryRun(); got != want {
			t.Errorf("printed %q; want %q", got, want)
		}
	})
	kactustest.ExpectSame(t, "requests", requests, nil)
	p.ExpectInterfaces(t, "eth0", green)
	p.ExpectKept(t, before, "eth0", green)
	if string(p.ReadRecord(t)) != record {
		t.Error("the record was changed")
	}
}

func TestAgent_Help(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := run(t, exec.Command(kactustest.KactusPath(), "agent", "-h"))
	if code != 0 || stderr != "" {
		t.Errorf("exit status %d: %s", code, stderr)
	}
	flags := []string{
		"node", "kubeconfig", "service-account", "conf-dir", "bin-dir", "await-netconf", "repair", "repair-every",
		"listen", "once", "dry-run",
	}
	var got []string
	for _, found := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(stdout, -1) {
		got = append(got, found[1])
	}
	kactustest.ExpectSame(t, "flags", got, flags)
	expectWords(t, stdout, "Usage: kactus agent", "running Pods of this node", `"networks"`)
}

func TestAgent_CannotStart(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	garbage := filepath.Join(tn.Dir, "garbage")
	kactustest.Must(t, os.WriteFile(garbage, []byte("{"), 0o600))
	empty := t.TempDir()
	broken := t.TempDir()
	kactustest.Must(t, os.WriteFile(filepath.Join(broken, "10-kactus.conf"),
		[]byte(`{"cniVersion": "1.0.0", "name": "x", "type": "kactus", "cniDir": 7}`), 0o600))
	for _, test := range []struct {
		name  string
		args  []string
		words []string
	}{
		{"without a netconf", []string{"-conf-dir", empty},
			[]string{empty, "install kactus first", "-conf-dir", "hostPID"}},
		{"without its directory", []string{"-conf-dir", empty + "/none"}, []string{empty + "/none", "-conf-dir"}},
		{"with a broken netconf", []string{"-conf-dir", broken}, []string{broken + "/10-kactus.conf", "cniDir"}},
		{"without a binary", []string{"-bin-dir", empty}, []string{empty, "binary of kactus", "-bin-dir"}},
		{"without its kubeconfig", []string{"-kubeconfig", empty + "/none"}, []string{empty + "/none"}},
		{"with a broken kubeconfig", []string{"-kubeconfig", garbage}, []string{garbage}},
		{"with an argument", []string{"now"}, []string{"now"}},
		{"without a time between repairs", []string{"-repair-every", "0s"}, []string{"-repair-every"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, stderr, code := run(t, tn.NodeAgentCommand(t, test.args...))
			if code == 0 {
				t.Error("exit status 0")
			}
			expectWords(t, stderr, test.words...)
		})
	}
}

func TestAgent_HTTP(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	address := fmt.Sprintf("127.0.0.1:%d", 20000+tn.Number)
	agent := tn.StartNodeAgent(t, "-listen", address)
	for _, path := range []string{"/healthz", "/readyz", "/livez"} {
		kactustest.Eventually(t, path+" answers 200", func() bool {
			status, _ := get(t, "http://"+address+path)
			return status == http.StatusOK
		})
	}

	p := newRunningPod(t, tn, noAnnotation)
	p.Annotate(t, `[{"name":"green"}]`)
	p.EventuallyCondition(t, "True", "Attached")
	eventuallyMetrics(t, address, `kactus_attachments{network="`+tn.Namespace+`/green",state="attached"} 1`,
		`kactus_agent_operations_total{operation="ADD",result="success"} 1`,
		`kactus_agent_operations_total{operation="ADD",result="error"} 0`,
		`kactus_agent_operation_duration_seconds_count{operation="ADD"} 1`,
		`kactus_agent_pods 1`, `kactus_agent_pods_differing 0`, `kactus_orphans 0`)
	p.Annotate(t, `[{"name":`)
	eventuallyMetrics(t, address, `kactus_agent_pods_differing 1`)

	confDir := filepath.Join(tn.Dir, "net.d")
	kactustest.Must(t, os.Rename(confDir, confDir+".away"))
	if status, body := get(t, "http://"+address+"/readyz"); status != 503 || !strings.Contains(body, confDir) {
		t.Errorf("ready without a netconf: %d: %s", status, body)
	}
	if status, body := get(t, "http://"+address+"/livez"); status != http.StatusOK {
		t.Errorf("not live without a netconf: %d: %s", status, body)
	}
	kactustest.Must(t, os.Rename(confDir+".away", confDir))
	if status, body := get(t, "http://"+address+"/readyz"); status != http.StatusOK {
		t.Errorf("not ready with the netconf again: %d: %s", status, body)
	}
	agent.Signal(t, syscall.SIGTERM)
	<-agent.Exited
	if status, body := get(t, "http://"+address+"/livez"); status != 0 {
		t.Errorf("live after its end: %d: %s", status, body)
	}
}

// get returns the status and the body of the answer; zero where there is none.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	kactustest.Must(t, err)
	return resp.StatusCode, string(content)
}

// eventuallyMetrics waits until the metrics have all of these lines.
func eventuallyMetrics(t *testing.T, address string, lines ...string) {
	t.Helper()
	body := ""
	hasAll := kactustest.Poll(t.Context(), func() bool {
		_, body = get(t, "http://"+address+"/metrics")
		for _, line := range lines {
			if !strings.Contains("\n"+body, "\n"+line+"\n") {
				return false
			}
		}
		return true
	})
	if !hasAll {
		t.Fatalf("the metrics have not all of %q:\n%s", lines, body)
	}
}

func TestAgent_NetconfInAList(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	confDir := t.TempDir()
	list := fmt.Sprintf(`{"cniVersion": "1.0.0", "name": %q, "plugins": [%s, {"type": "tuning"}]}`,
		tn.Conf.Name, kactustest.Encode(t, tn.Conf))
	kactustest.Must(t, os.WriteFile(filepath.Join(confDir, "10-kactus.conflist"), []byte(list), 0o600))
	tn.StartNodeAgent(t, "-conf-dir", confDir)
	p := newRunningPod(t, tn, noAnnotation)
	p.Annotate(t, `[{"name":"green"}]`)
	p.EventuallyAttached(t, "eth0", green)
	p.Annotate(t, `[]`)
	p.EventuallyAttached(t, "eth0")
	p.Del(t)
	p.ExpectGone(t)
}
