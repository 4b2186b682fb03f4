package meta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/device"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/plugins"
)

// pluginDir holds the real plugins.
var pluginDir string

func TestMain(m *testing.M) {
	netnstest.Node()
	plugins.Main(m, &pluginDir)
}

// The devices of the networks green and blue.
const (
	greenDevice = "net9f27410725ab"
	blueDevice  = "net48d6215903df"
)

// container is the one that tests are about, and pod its Pod.
const container = "c1"

var pod = podargs.Pod{Namespace: "tenant", Name: "app", InfraContainerID: container}

// node is a node with one Pod: real namespaces, plugins and a real ledger, and an apiserver in memory.
type node struct {
	*testing.T
	dir    string
	bridge string
	netns  *netnstest.Netns
	api    *fakeAPI
	verbs  *Verbs
	runner delegate.Runner
	// now is what Verbs.Now says; zero: the time.
	now time.Time
	// spoil, where it is set, is put between the verbs and the ledger.
	spoil func(Book) Book
}

var bridges atomic.Int32

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{
		T:      t,
		dir:    t.TempDir(),
		bridge: fmt.Sprintf("br%d", bridges.Add(1)),
		netns:  netnstest.New(t),
		api:    &fakeAPI{networks: map[string]string{}},
	}
	// Its address is its own: one that follows the bridge's ports would not be the one in the results, which the plugin's CHECK compares.
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: n.bridge, HardwareAddr: net.HardwareAddr{0x0a, 0, 0, 0, 0, 0xff}}}
	must(t, netlink.LinkAdd(bridge))
	t.Cleanup(func() { _ = netlink.LinkDel(bridge) })
	n.runner = delegate.Runner{
		Path:    []string{n.path("plugins"), pluginDir},
		Env:     []string{"PATH=" + os.Getenv("PATH")},
		Timeout: 20 * time.Second,
	}
	must(t, os.Mkdir(n.path("plugins"), 0o755))
	n.verbs = &Verbs{
		Parallel: 16,
		API:      func() (API, error) { return n.api, nil },
		Lock:     n.lock,
		Read:     func() (ledger.Snapshot, error) { return ledger.Read(n.path("ledger")) },
		Freeze: func(ctx context.Context) (io.Closer, error) {
			l, err := ledger.Open(n.path("ledger"))
			must(t, err)
			return l.Freeze(ctx)
		},
		Probe: func() error {
			l, err := ledger.Open(n.path("ledger"))
			must(t, err)
			return l.Probe()
		},
		Delegates: func(lock *os.File) Delegates {
			r := n.runner
			r.Inherit = lock
			return r
		},
		Devices: func(netns string) (Devices, error) { return device.Open(netns) },
		Log:     slog.New(slog.DiscardHandler),
		Now: func() time.Time {
			if n.now.IsZero() {
				return time.Now()
			}
			return n.now
		},
	}
	return n
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

func (n *node) lock(ctx context.Context, id string) (Book, error) {
	l, err := ledger.Open(n.path("ledger"))
	if err != nil {
		return nil, err
	}
	book, err := l.Lock(ctx, id)
	if err != nil {
		return nil, err
	}
	if n.spoil != nil {
		return n.spoil(book), nil
	}
	return book, nil
}

// plugin makes a plugin of that type from a shell script, which runs in the test's folder.
func (n *node) plugin(pluginType, script string) {
	n.Helper()
	body := "#!/bin/sh\ncd " + n.dir + "\n" + script + "\n"
	must(n.T, os.WriteFile(n.path("plugins/"+pluginType), []byte(body), 0o755))
}

// diary makes a plugin that notes what it is called for in the file diary, and succeeds.
func (n *node) diary(pluginType string) {
	n.plugin(pluginType, `echo $CNI_COMMAND $CNI_IFNAME >>diary; echo '{"cniVersion":"1.0.0"}'`)
}

// read is what a plugin left in that file, without white space at the ends; empty where there is none.
func (n *node) read(name string) string {
	n.Helper()
	data, err := os.ReadFile(n.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// ptp and bridged are configurations of real plugins, whose addresses begin with 10.subnet.
func (n *node) ptp(subnet int) string {
	return fmt.Sprintf(`{"type": "ptp", "ipam": %s}`, n.hostLocal(subnet))
}

func (n *node) bridged(subnet int) string {
	return fmt.Sprintf(`{"type": "bridge", "bridge": %q, "ipam": %s}`, n.bridge, n.hostLocal(subnet))
}

func (n *node) hostLocal(subnet int) string {
	return fmt.Sprintf(`{"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.%d.0.0/24"}]]}`, n.path("leases"), subnet)
}

// leases are the addresses that host-local holds.
func (n *node) leases() []string {
	n.Helper()
	files, err := filepath.Glob(n.path("leases/*/10.*"))
	must(n.T, err)
	for i, file := range files {
		files[i] = filepath.Base(file)
	}
	return files
}

// conf is a netconf whose master delegate is master.
func (n *node) conf(master string, more ...string) netconf.Conf {
	n.Helper()
	text := fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "default", "type": "kactus", "delegates": [%s], %s "cniDir": %q}`,
		strings.Replace(master, "{", `{"masterPlugin": true, `, 1), strings.Join(append(more, ""), ", "), n.path("ledger"))
	conf, err := netconf.Parse([]byte(text))
	if err != nil {
		n.Fatalf("%v\n%s", err, text)
	}
	return conf
}

// request is for the whole Pod.
func (n *node) request(conf netconf.Conf) Request {
	return Request{ContainerID: container, Netns: n.netns.Path, Device: "eth0", Args: podargs.Args{Pod: pod}, Conf: conf}
}

// hot is for one network of it, as the node's agent asks.
func (n *node) hot(conf netconf.Conf, device string, hot podargs.Hot) Request {
	req := n.request(conf)
	req.Device, req.Args.Hot = device, &hot
	return req
}

func (n *node) green(conf netconf.Conf) Request {
	return n.hot(conf, greenDevice, podargs.Hot{Network: "green"})
}

// record is what the ledger knows of the container.
func (n *node) record() ledger.Record {
	n.Helper()
	spoil := n.spoil
	n.spoil = nil
	defer func() { n.spoil = spoil }()
	book, err := n.lock(context.Background(), container)
	must(n.T, err)
	defer book.Close()
	return book.Record()
}

func (n *node) add(req Request) types.Result {
	n.Helper()
	result, err := n.verbs.Add(context.Background(), req)
	if err != nil {
		n.Fatalf("ADD: %v", err)
	}
	return result
}

func (n *node) del(req Request) {
	n.Helper()
	if err := n.verbs.Del(context.Background(), req); err != nil {
		n.Fatalf("DEL: %v", err)
	}
}

// addFails is the error of an ADD that is to have that code and those words.
func (n *node) addFails(req Request, code uint, words ...string) *types.Error {
	n.Helper()
	result, err := n.verbs.Add(context.Background(), req)
	if err == nil {
		n.Fatalf("ADD succeeded: %v", result)
	}
	return n.check(err, code, words)
}

// delFails is the same of a DEL.
func (n *node) delFails(req Request, code uint, words ...string) *types.Error {
	n.Helper()
	err := n.verbs.Del(context.Background(), req)
	if err == nil {
		n.Fatal("DEL succeeded")
	}
	return n.check(err, code, words)
}

func (n *node) check(err error, code uint, words []string) *types.Error {
	n.Helper()
	var cniErr *types.Error
	if !errors.As(err, &cniErr) {
		n.Fatalf("got %v, which is not a CNI error", err)
	}
	if cniErr.Code != code {
		n.Errorf("got the code %d, want %d: %v", cniErr.Code, code, err)
	}
	for _, word := range words {
		if !strings.Contains(cniErr.Msg, word) {
			n.Errorf("the message lacks %q: %s", word, cniErr.Msg)
		}
	}
	if strings.Contains(cniErr.Msg+cniErr.Details, "\n\n") || strings.Contains(cniErr.Msg, "\n") {
		n.Errorf("the message is not one line: %q", cniErr.Msg)
	}
	return cniErr
}

// nothingLeft fails where the Pod or the node still has something of it.
func (n *node) nothingLeft() {
	n.Helper()
	if left := n.netns.Devices(n); len(left) != 0 {
		n.Errorf("devices left: %v", left)
	}
	n.nothingLeftOutside()
}

func (n *node) nothingLeftOutside() {
	n.Helper()
	if left := n.leases(); len(left) != 0 {
		n.Errorf("leases left: %v", left)
	}
	if left, _ := filepath.Glob(n.path("ledger/*")); len(left) != 0 {
		n.Errorf("left in the ledger: %v", left)
	}
}

// same fails where got is not want, both printed.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// addressOf is the first address of a result.
func addressOf(t *testing.T, result types.Result) string {
	t.Helper()
	data, err := json.Marshal(result)
	must(t, err)
	var r struct {
		IPs []struct{ Address string }
	}
	must(t, json.Unmarshal(data, &r))
	if len(r.IPs) == 0 {
		return ""
	}
	return r.IPs[0].Address
}
