//go:build root

package metaplugin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/confdir"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/deviceinfo"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/plugins"
)

// pluginDir is the directory of the real plugins.
var pluginDir string

func TestMain(m *testing.M) {
	netnstest.Node()
	plugins.Main(m, &pluginDir)
}

// The interfaces of the networks green and blue.
const (
	greenIf = "net9f27410725ab"
	blueIf  = "net48d6215903df"
)

// Two networks whose names have the same device name.
const (
	twinA  = "n-009b5fbe0257"
	twinB  = "n-ee6b99c6809e"
	twinIf = "netc78e9611f93e"
)

// container is the sandbox of the Pod that a test is about.
const container = "c1"

var pod = podargs.Pod{Namespace: "tenant", Name: "app", InfraContainerID: container}

// testNode is a node with one Pod: real namespaces, plugins and ledger, and an apiserver in memory.
type testNode struct {
	*testing.T
	dir     string
	bridge  string
	netns   *netnstest.Netns
	api     *fakeAPI
	kubelet *fakeKubelet
	store   *faultyStore
	plugin  *Plugin
	runner  delegate.Runner
	// now is what Plugin.Now returns; if it is zero, the time.
	now time.Time
}

// run runs a subtest on the same node.
func (n *testNode) run(name string, subtest func()) {
	parent := n.T
	defer func() { n.T = parent }()
	parent.Run(name, func(t *testing.T) {
		n.T = t
		subtest()
	})
}

var bridges atomic.Int32

func newTestNode(t *testing.T) *testNode {
	t.Helper()
	n := &testNode{
		T:       t,
		dir:     t.TempDir(),
		bridge:  fmt.Sprintf("br%d", bridges.Add(1)),
		netns:   netnstest.New(t),
		api:     newFakeAPI(),
		kubelet: &fakeKubelet{},
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: n.bridge}}
	must(t, netlink.LinkAdd(bridge))
	t.Cleanup(func() { _ = netlink.LinkDel(bridge) })
	must(t, os.Mkdir(n.path("plugins"), 0o755))
	n.runner = delegate.Runner{Env: []string{"PATH=" + os.Getenv("PATH")}, Timeout: 20 * time.Second}
	n.store = &faultyStore{Store: LedgerStore(n.path("ledger"), n.path("locks"), n.path("multus"))}
	n.plugin = &Plugin{
		API:        func() (API, error) { return n.api, nil },
		Kubelet:    n.kubelet,
		DeviceInfo: deviceinfo.Dir(n.path("devinfo")),
		Store:      n.store,
		Marks:      NewMarks(n.path("ledger"), n.path("locks")),
		Delegates:  n.delegates,
		OpenNetns:  func(path string) (Netns, error) { return netns.Open(path) },
		Parallel:   16,
		FindConfig: confdir.Find,
		Log:        slog.New(slog.DiscardHandler),
		Now: func() time.Time {
			if n.now.IsZero() {
				return time.Now()
			}
			return n.now
		},
	}
	return n
}

// delegates looks up plugins anew, as the process of each operation does.
func (n *testNode) delegates(lock *os.File) Delegates {
	r := n.runner
	r.Plugins = delegate.NewPlugins([]string{n.path("plugins"), pluginDir})
	r.Inherit = lock
	return r
}

func (n *testNode) path(name string) string { return filepath.Join(n.dir, name) }

const emptyResult = `echo '{"cniVersion":"1.0.0"}'`

// script installs a shell script as the plugin of that type. It runs in the test's directory.
func (n *testNode) script(pluginType, script string) {
	n.Helper()
	body := "#!/bin/sh\ncd " + n.dir + "\n" + script + "\n"
	must(n, os.WriteFile(n.path("plugins/"+pluginType), []byte(body), 0o755))
}

// recorder installs a plugin that appends each call to the file calls, and succeeds.
func (n *testNode) recorder(pluginType string) {
	n.script(pluginType, `echo $CNI_COMMAND $CNI_IFNAME >>calls; `+emptyResult)
}

// undeletable installs the plugin stuck, whose DEL fails.
func (n *testNode) undeletable() {
	n.script("stuck", `[ $CNI_COMMAND = DEL ] && exit 1; `+emptyResult)
}

// read returns what a plugin wrote to that file, without white space at the ends; empty if there is
// no such file.
func (n *testNode) read(name string) string {
	n.Helper()
	data, err := os.ReadFile(n.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func (n *testNode) expectCalls(want ...string) {
	n.Helper()
	expectEqual(n.T, "calls", n.read("calls"), strings.Join(want, "\n"))
}

// ptpConf and bridgeConf return configurations of real plugins, whose addresses are in
// 10.SUBNET.0.0/24.
func (n *testNode) ptpConf(subnet int) string {
	return fmt.Sprintf(`{"type": "ptp", "ipam": %s}`, n.hostLocal(subnet))
}

func (n *testNode) bridgeConf(subnet int) string {
	return fmt.Sprintf(`{"type": "bridge", "bridge": %q, "ipam": %s}`, n.bridge, n.hostLocal(subnet))
}

// bridgeChain returns a chain of the bridge plugin and another one.
func (n *testNode) bridgeChain(subnet int, second string) string {
	return fmt.Sprintf(`{"plugins": [%s, %s]}`, n.bridgeConf(subnet), second)
}

func (n *testNode) hostLocal(subnet int) string {
	return fmt.Sprintf(`{"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.%d.0.0/24"}]]}`,
		n.path("leases"), subnet)
}

// leases returns the addresses that host-local has given.
func (n *testNode) leases() []string {
	n.Helper()
	files, err := filepath.Glob(n.path("leases/*/10.*"))
	must(n, err)
	for i, file := range files {
		files[i] = filepath.Base(file)
	}
	return files
}

func (n *testNode) expectLeases(want int) {
	n.Helper()
	if got := n.leases(); len(got) != want {
		n.Errorf("got the leases %v, want %d", got, want)
	}
}

// selectNetworks makes the Pod ask for these networks, which are in its namespace.
func (n *testNode) selectNetworks(names ...string) {
	n.Helper()
	var selections []map[string]string
	for _, name := range names {
		selections = append(selections, map[string]string{"name": name})
	}
	annotation, err := json.Marshal(selections)
	must(n, err)
	n.api.annotation = string(annotation)
}

// conf returns a netconf whose master delegate is master. Each of keys is a key and its value.
func (n *testNode) conf(master string, keys ...string) netconf.Conf {
	n.Helper()
	delegates := withKey(master, `"masterPlugin": true`)
	text := fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "default", "type": "kactus", "cniDir": %q, "lockDir": %q, %s
		"delegates": [%s]}`, n.path("ledger"), n.path("locks"), strings.Join(append(keys, ""), ", "), delegates)
	conf, err := netconf.Parse([]byte(text))
	if err != nil {
		n.Fatalf("%v\n%s", err, text)
	}
	return conf
}

// conf110 returns the same in version 1.1.0 of the specification, which has GC and STATUS.
func (n *testNode) conf110(master string, keys ...string) netconf.Conf {
	n.Helper()
	conf := n.conf(master, keys...)
	conf.CNIVersion, conf.Master.CNIVersion = "1.1.0", "1.1.0"
	return conf
}

// request returns a request for the whole Pod.
func (n *testNode) request(conf netconf.Conf) Request {
	return Request{
		ContainerID: container,
		Netns:       n.netns.Path,
		IfName:      "eth0",
		Args:        podargs.Args{Pod: pod},
		Conf:        conf,
	}
}

// hotRequest returns a request for one network of the Pod.
func (n *testNode) hotRequest(conf netconf.Conf, name string) Request {
	req := n.request(conf)
	req.IfName, req.Args.Hot = network.DeviceName(name), &podargs.Hot{Network: name}
	return req
}

func (n *testNode) hotRequestMAC(conf netconf.Conf, name string, mac network.MAC) Request {
	req := n.hotRequest(conf, name)
	req.Args.Hot.MAC = mac
	return req
}

// hotSelection returns a request for one network of the Pod with that selection.
func (n *testNode) hotSelection(conf netconf.Conf, selection string) Request {
	n.Helper()
	s, err := network.ParseSelection([]byte(selection))
	must(n, err)
	conf.Selection = &s
	req := n.hotRequest(conf, s.Name)
	req.IfName = cmp.Or(s.IfName, req.IfName)
	return req
}

// record returns the container's record.
func (n *testNode) record() ledger.Record {
	n.Helper()
	r, err := ledger.At(n.path("ledger"), n.path("locks")).ReadRecord(container)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.Fatal(err)
	}
	return r
}

// lock locks the container's record, as another operation does.
func (n *testNode) lock(containerID string) LockedRecord {
	n.Helper()
	locked, err := n.store.Store.Lock(n.Context(), containerID)
	must(n, err)
	return locked
}

// corrupt truncates the container's record.
func (n *testNode) corrupt() {
	n.Helper()
	must(n, os.WriteFile(n.path("ledger/c1.json"), []byte(`{"format":`), 0o600))
}

func (n *testNode) ledgerFiles() []string {
	n.Helper()
	files, err := os.ReadDir(n.path("ledger"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, file.Name())
	}
	return names
}

func (n *testNode) add(req Request) json.RawMessage {
	n.Helper()
	result, err := n.plugin.Add(context.Background(), req)
	if err != nil {
		n.Fatalf("ADD: %v", err)
	}
	return result
}

func (n *testNode) del(req Request) {
	n.Helper()
	if err := n.plugin.Del(context.Background(), req); err != nil {
		n.Fatalf("DEL: %v", err)
	}
}

// addFails runs an ADD whose error must have that code and those words.
func (n *testNode) addFails(req Request, code uint, words ...string) *types.Error {
	n.Helper()
	result, err := n.plugin.Add(context.Background(), req)
	if result != nil {
		n.Errorf("the ADD that fails returns %s", result)
	}
	return expectError(n.T, err, code, words...)
}

// delFails runs a DEL whose error must have that code and those words.
func (n *testNode) delFails(req Request, code uint, words ...string) *types.Error {
	n.Helper()
	return expectError(n.T, n.plugin.Del(context.Background(), req), code, words...)
}

func (n *testNode) expectInterfaces(want ...string) {
	n.Helper()
	expectEqual(n.T, "interfaces", n.netns.Devices(n), want)
}

// expectResult fails unless the result has the address of the interface.
func (n *testNode) expectResult(result json.RawMessage, ifName string) {
	n.Helper()
	expectEqual(n.T, "address of "+ifName, n.netns.IPv4(n, ifName), "["+addressIn(n.T, result)+"]")
}

// expectNothingLeft fails if the Pod or the node has anything of it.
func (n *testNode) expectNothingLeft() {
	n.Helper()
	n.expectInterfaces()
	n.expectNothingLeftOutside()
}

// expectNothingLeftOutside fails if anything is left outside of the Pod's namespace.
func (n *testNode) expectNothingLeftOutside() {
	n.Helper()
	n.expectLeases(0)
	expectEqual(n.T, "files in the ledger", n.ledgerFiles(), "[]")
}

// expectPodRemoved fails if interfaces or leases are left, whatever the ledger has.
func (n *testNode) expectPodRemoved() {
	n.Helper()
	n.expectInterfaces()
	n.expectLeases(0)
}

// delInterface deletes an interface of the Pod behind kactus's back.
func (n *testNode) delInterface(ifName string) {
	n.Helper()
	must(n, n.netns.Links(n).LinkDel(n.netns.Link(n, ifName)))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// parsed returns a result of whatever version.
func parsed(t *testing.T, result json.RawMessage) *cniconf.Result {
	t.Helper()
	r, err := cniconf.ParseResult(result)
	if err != nil {
		t.Fatalf("%v: %s", err, result)
	}
	return r
}

// addressIn returns the first address in the result; empty if there is none.
func addressIn(t *testing.T, result json.RawMessage) string {
	t.Helper()
	if ips := parsed(t, result).IPs; len(ips) > 0 {
		return ips[0].Address.String()
	}
	return ""
}
