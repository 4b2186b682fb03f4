package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// call is what a caller of kactus says beside the netconf.
type call struct {
	device string
	netns  string
	args   [][2]string
	// capabilities are what the caller has for the capabilities that the netconf declares.
	capabilities map[string]any
	// env is of a call by bare environment alone.
	env []string
}

// runtime is the call of a container runtime.
func (p *pod) runtime() call {
	return call{device: "eth0", netns: p.netns, args: [][2]string{
		{"IgnoreUnknown", "1"},
		{"K8S_POD_NAMESPACE", p.namespace},
		{"K8S_POD_NAME", p.name},
		{"K8S_POD_INFRA_CONTAINER_ID", p.id},
		{"K8S_POD_UID", p.uid},
	}}
}

// agent is the call of a node agent, for one network of a running Pod; mac may be empty.
func (p *pod) agent(name, mac string) call {
	return call{device: deviceName(name), netns: p.netns, args: [][2]string{
		{"IgnoreUnknown", "1"},
		{"K8S_POD_NAMESPACE", p.namespace},
		{"K8S_POD_NAME", p.name},
		{"K8S_POD_INFRA_CONTAINER_ID", p.id},
		{"K8S_POD_NETWORK", name},
		{"K8S_POD_IFMAC", mac},
	}}
}

// libcniAdd runs ADD as cnitool and the runtimes do.
func (p *pod) libcniAdd(t *testing.T, conf netconf, c call) (types.Result, error) {
	t.Helper()
	return p.libcni(t).AddNetworkList(t.Context(), configList(t, conf), p.runtimeConf(c))
}

func (p *pod) libcniDel(t *testing.T, conf netconf, c call) error {
	t.Helper()
	return p.libcni(t).DelNetworkList(t.Context(), configList(t, conf), p.runtimeConf(c))
}

func (p *pod) libcniCheck(t *testing.T, conf netconf, c call) error {
	t.Helper()
	return p.libcni(t).CheckNetworkList(t.Context(), configList(t, conf), p.runtimeConf(c))
}

// libcniGC runs GC as a runtime does of whose Pods those are left.
func (tn *tenant) libcniGC(t *testing.T, pods ...*pod) error {
	t.Helper()
	args := &libcni.GCArgs{}
	for _, p := range pods {
		args.ValidAttachments = append(args.ValidAttachments, types.GCAttachment{ContainerID: p.id, IfName: "eth0"})
	}
	return tn.libcni(t).GCNetworkList(t.Context(), configList(t, tn.conf), args)
}

func (tn *tenant) libcniStatus(t *testing.T) error {
	t.Helper()
	return tn.libcni(t).GetStatusNetworkList(t.Context(), configList(t, tn.conf))
}

func (tn *tenant) libcni(t *testing.T) *libcni.CNIConfig {
	exec := &invoke.DefaultExec{RawExec: &invoke.RawExec{Stderr: t.Output()}}
	return libcni.NewCNIConfigWithCacheDir(tn.path, filepath.Join(tn.dir, "libcni"), exec)
}

// configList wraps a netconf, as a caller does that finds it in a file of the name .conf.
func configList(t *testing.T, conf netconf) *libcni.NetworkConfigList {
	t.Helper()
	list, err := libcni.NetworkConfFromBytes(encode(t, struct {
		CNIVersion string    `json:"cniVersion"`
		Name       string    `json:"name"`
		Plugins    []netconf `json:"plugins"`
	}{conf.CNIVersion, conf.Name, []netconf{conf}}))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (p *pod) runtimeConf(c call) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{ContainerID: p.id, NetNS: c.netns, IfName: c.device, Args: c.args, CapabilityArgs: c.capabilities}
}

// add runs ADD of the Pod, which must succeed.
func (p *pod) add(t *testing.T) *types100.Result {
	t.Helper()
	return current(t)(p.libcniAdd(t, p.conf, p.runtime()))
}

// addError runs ADD of the Pod, which must fail.
func (p *pod) addError(t *testing.T) *types.Error {
	t.Helper()
	_, err := p.libcniAdd(t, p.conf, p.runtime())
	return cniError(t, err)
}

// del runs DEL of the Pod, which must succeed.
func (p *pod) del(t *testing.T) {
	t.Helper()
	if err := p.libcniDel(t, p.conf, p.runtime()); err != nil {
		t.Fatalf("DEL: %v", err)
	}
}

// agentConf is the netconf by which a node agent calls.
func (p *pod) agentConf() netconf {
	conf := p.conf
	conf.Kubeconfig = p.agentKubeconfig
	return conf
}

func (p *pod) hotAdd(t *testing.T, name string) *types100.Result {
	t.Helper()
	return p.hotAddMAC(t, name, "")
}

func (p *pod) hotAddMAC(t *testing.T, name, mac string) *types100.Result {
	t.Helper()
	return current(t)(p.libcniAdd(t, p.agentConf(), p.agent(name, mac)))
}

func (p *pod) hotAddError(t *testing.T, name string) *types.Error {
	t.Helper()
	_, err := p.libcniAdd(t, p.agentConf(), p.agent(name, ""))
	return cniError(t, err)
}

func (p *pod) hotDel(t *testing.T, name string) {
	t.Helper()
	if err := p.libcniDel(t, p.agentConf(), p.agent(name, "")); err != nil {
		t.Fatalf("hot DEL of %s: %v", name, err)
	}
}

func current(t *testing.T) func(types.Result, error) *types100.Result {
	return func(result types.Result, err error) *types100.Result {
		t.Helper()
		if err != nil {
			t.Fatalf("ADD: %v", err)
		}
		converted, err := types100.NewResultFromResult(result)
		if err != nil {
			t.Fatal(err)
		}
		return converted
	}
}

func cniError(t *testing.T, err error) *types.Error {
	t.Helper()
	var e *types.Error
	if !errors.As(err, &e) {
		t.Fatalf("error: %v; want a CNI error", err)
	}
	return e
}

// running is a kactus that was started by bare environment and stdin.
type running struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	exited         chan struct{}
}

// start runs a verb in the background. Where the test ends before it, it is killed.
func (p *pod) start(t *testing.T, verb string, conf any, c call) *running {
	t.Helper()
	return startWith(t, encode(t, conf), p.environ(verb, c)...)
}

// environ is what a runtime says in the environment.
func (p *pod) environ(verb string, c call) []string {
	var args []string
	for _, pair := range c.args {
		args = append(args, pair[0]+"="+pair[1])
	}
	return append([]string{
		"CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + p.id, "CNI_NETNS=" + c.netns, "CNI_IFNAME=" + c.device,
		"CNI_ARGS=" + strings.Join(args, ";"), "CNI_PATH=" + strings.Join(p.path, ":"),
	}, c.env...)
}

func startWith(t *testing.T, stdin []byte, env ...string) *running {
	t.Helper()
	return startCommand(t, kactusCommand(stdin, env...))
}

// kactusCommand is kactus with no other environment than that, and the PATH.
func kactusCommand(stdin []byte, env ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(suite.kactus, "kactus"))
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// startCommand runs it, with the output kept where it does not go elsewhere.
func startCommand(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	r := &running{cmd: cmd, exited: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &r.stdout
	}
	cmd.Stderr = &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait() // the exit status is in the process's state
		close(r.exited)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.exited
	})
	return r
}

func (r *running) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// wait is until it ends; the error is what it printed as such.
func (r *running) wait(t *testing.T) (stdout []byte, err error) {
	t.Helper()
	<-r.exited
	if r.cmd.ProcessState.Success() {
		return r.stdout.Bytes(), nil
	}
	var e types.Error
	if json.Unmarshal(r.stdout.Bytes(), &e) != nil || e.Code == 0 {
		t.Fatalf("kactus ended with %v and printed %q and %q; want a CNI error", r.cmd.ProcessState, r.stdout.Bytes(), r.stderr.Bytes())
	}
	return nil, &e
}

// ended says whether it has, without waiting.
func (r *running) ended() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// waitsForLock is once it has opened the container's lock, which another process holds.
func (r *running) waitsForLock(t *testing.T) {
	t.Helper()
	fds := filepath.Join("/proc", strconv.Itoa(r.cmd.Process.Pid), "fd")
	eventually(t, "kactus waits for the container's lock", func() bool {
		files, _ := os.ReadDir(fds)
		for _, f := range files {
			if target, _ := os.Readlink(filepath.Join(fds, f.Name())); strings.HasSuffix(target, ".lock") {
				return true
			}
		}
		return false
	})
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	if raw, ok := v.(json.RawMessage); ok {
		return raw
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
