package e2e

import (
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The devices of the networks that the tests use most, by the naming rule.
const (
	greenDevice = "net9f27410725ab"
	blueDevice  = "net48d6215903df"
	dataDevice  = "net8d777f385d3d"
)

// Two networks whose names make the same device name.
const (
	collider = "n-009b5fbe0257"
	collided = "n-ee6b99c6809e"
)

func deviceName(name string) string {
	sum := md5.Sum([]byte(name))
	return fmt.Sprintf("net%x", sum[:6])
}

type handle = *netlink.Handle

// links are the devices of a network namespace, but for lo.
func links(t *testing.T, path string) map[string]netlink.Link {
	t.Helper()
	found := map[string]netlink.Link{}
	in(t, path, func(h handle) {
		var all []netlink.Link
		var err error
		eventually(t, "the devices do not change while they are listed", func() bool {
			all, err = h.LinkList()
			return !errors.Is(err, netlink.ErrDumpInterrupted)
		})
		if err != nil {
			t.Fatalf("list the devices in %s: %v", path, err)
		}
		for _, link := range all {
			if name := link.Attrs().Name; name != "lo" {
				found[name] = link
			}
		}
	})
	return found
}

// in runs work with a netlink socket of the network namespace.
func in(t *testing.T, path string, work func(handle)) {
	t.Helper()
	ns, err := netns.GetFromPath(path)
	if err != nil {
		t.Fatalf("open the network namespace %s: %v", path, err)
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatalf("open netlink in %s: %v", path, err)
	}
	defer h.Close()
	work(h)
}

// expectDevices: the Pod has these devices and no others.
func (p *pod) expectDevices(t *testing.T, want ...string) {
	t.Helper()
	got := []string{}
	for name := range links(t, p.netns) {
		got = append(got, name)
	}
	expectSame(t, "devices of the Pod", got, want)
}

// index is that of the kernel for a device of the Pod: another device of the same name has another.
func (p *pod) index(t *testing.T, device string) int {
	t.Helper()
	return p.link(t, device).Attrs().Index
}

func (p *pod) mac(t *testing.T, device string) string {
	t.Helper()
	return p.link(t, device).Attrs().HardwareAddr.String()
}

func (p *pod) link(t *testing.T, device string) netlink.Link {
	t.Helper()
	link, ok := links(t, p.netns)[device]
	if !ok {
		t.Fatalf("the Pod has no device %s", device)
	}
	return link
}

// addrs are the addresses of a device of the Pod that its delegate gave it, in CIDR notation.
func (p *pod) addrs(t *testing.T, device string) []string {
	t.Helper()
	var found []string
	in(t, p.netns, func(h handle) {
		all, err := h.AddrList(p.link(t, device), netlink.FAMILY_ALL)
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range all {
			if !addr.IP.IsLinkLocalUnicast() {
				found = append(found, addr.IPNet.String())
			}
		}
	})
	return found
}

// addr is the one address of a device of the Pod, without the prefix length.
func (p *pod) addr(t *testing.T, device string) string {
	t.Helper()
	all := p.addrs(t, device)
	if len(all) != 1 {
		t.Fatalf("%s has the addresses %q; want one", device, all)
	}
	ip, _, err := net.ParseCIDR(all[0])
	if err != nil {
		t.Fatal(err)
	}
	return ip.String()
}

// expectLeases: host-local keeps this many addresses of the network.
func (tn *tenant) expectLeases(t *testing.T, network string, want int) {
	t.Helper()
	if got := tn.leases(t, network); len(got) != want {
		t.Errorf("leases of %s: %q; want %d", network, got, want)
	}
}

func (tn *tenant) leases(t *testing.T, network string) []string {
	t.Helper()
	var found []string
	for _, name := range fileNames(t, filepath.Join(tn.leaseDir(), network)) {
		if net.ParseIP(name) != nil {
			found = append(found, name)
		}
	}
	return found
}

// record is what the tests read of a ledger's file.
type record struct {
	Format      int             `json:"format"`
	ContainerID string          `json:"containerID"`
	Attachments []attachment    `json:"attachments"`
	Orphans     json.RawMessage `json:"orphans"`
}

type attachment struct {
	Network string          `json:"network"`
	Device  string          `json:"device"`
	State   string          `json:"state"`
	Result  json.RawMessage `json:"result"`
}

func (r record) find(device string) (attachment, bool) {
	for _, a := range r.Attachments {
		if a.Device == device {
			return a, true
		}
	}
	return attachment{}, false
}

func (p *pod) recordPath() string { return filepath.Join(p.conf.CNIDir, p.id+".json") }

func (p *pod) record(t *testing.T) record {
	t.Helper()
	data, err := os.ReadFile(p.recordPath())
	if err != nil {
		t.Fatalf("the ledger: %v", err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// expectLedger: the Pod's record holds these devices and no others, each in that state.
func (p *pod) expectLedger(t *testing.T, state string, want ...string) {
	t.Helper()
	var got []string
	for _, a := range p.record(t).Attachments {
		got = append(got, a.Device)
		if a.State != state {
			t.Errorf("the ledger has %s as %q; want %q", a.Device, a.State, state)
		}
	}
	expectSame(t, "devices in the ledger", got, want)
}

// expectGone: no device of the Pod is left, no device on the tenant's bridges, no lease, and nothing in the ledger.
func (p *pod) expectGone(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(p.netns); err == nil {
		p.expectDevices(t)
	}
	p.expectNoRecord(t)
	for _, network := range fileNames(t, p.leaseDir()) {
		p.expectLeases(t, network, 0)
	}
	eventually(t, "the node has no device of the Pod", func() bool { return len(p.ports(t)) == 0 })
}

// ports are the devices on the tenant's bridges.
func (tn *tenant) ports(t *testing.T) []string {
	t.Helper()
	node := links(t, "/proc/thread-self/ns/net") // the main thread may have been used up for a Pod's namespace
	bridges := map[int]bool{}
	for name, link := range node {
		if strings.HasPrefix(name, tn.bridgePrefix()) {
			bridges[link.Attrs().Index] = true
		}
	}
	var found []string
	for name, link := range node {
		if bridges[link.Attrs().MasterIndex] {
			found = append(found, name)
		}
	}
	return found
}

// expectNoRecord: the ledger has nothing of the Pod, be it a record, a lock or one that was set aside.
func (p *pod) expectNoRecord(t *testing.T) {
	t.Helper()
	for _, name := range fileNames(t, p.conf.CNIDir) {
		if strings.HasPrefix(name, p.id+".") {
			t.Errorf("the ledger has %s still", name)
		}
	}
}

// expectUntouched: not even a delegate was run. Whichever ran would have left a folder of leases, even undone.
func (p *pod) expectUntouched(t *testing.T) {
	t.Helper()
	p.expectDevices(t)
	p.expectNoRecord(t)
	if left := fileNames(t, p.leaseDir()); len(left) > 0 {
		t.Errorf("delegates ran: there are leases of %q", left)
	}
}

// expectError: the code, and words that msg must hold.
func expectError(t *testing.T, e *types.Error, code uint, words ...string) {
	t.Helper()
	if e.Code != code {
		t.Errorf("error code %d; want %d: %v", e.Code, code, e)
	}
	for _, word := range words {
		if !strings.Contains(e.Msg, word) {
			t.Errorf("the error says %q; want %q in it", e.Msg, word)
		}
	}
}

// expectInterface: the result speaks of that device in the Pod, and of no other there.
func expectInterface(t *testing.T, result *types100.Result, device, mac string) {
	t.Helper()
	var inPod []string
	for _, i := range result.Interfaces {
		if i.Sandbox != "" {
			inPod = append(inPod, i.Name+" "+i.Mac)
		}
	}
	expectSame(t, "devices of the Pod in the result", inPod, []string{device + " " + mac})
}

func expectSame(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q; want %q", what, got, want)
	}
}

// fileNames of a folder, which need not be there.
func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}
