package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// node is a ledger with one Pod, which has two devices in a namespace.
type node struct {
	*testing.T
	dir   string
	netns *netnstest.Netns
	book  *ledger.Book
}

var made = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newNode has a container whose attachments eth0 and net1 are as their results say.
func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{T: t, dir: filepath.Join(t.TempDir(), "kactus"), netns: netnstest.New(t)}
	l, err := ledger.Open(n.dir)
	must(t, err)
	n.book, err = l.Lock(t.Context(), "c1")
	must(t, err)
	netns, err := ledger.Identify(n.netns.Path)
	must(t, err)
	results := map[string]json.RawMessage{}
	var entries []ledger.Entry
	for i, device := range []string{"eth0", "net1"} {
		n.link(device)
		entries = append(entries, entry(t, device))
		results[device] = json.RawMessage(fmt.Sprintf(`{"cniVersion": "1.0.0", "interfaces": [{"name": "veth0", "mac": "0a:00:00:00:00:99"},
			{"name": %q, "mac": %q, "sandbox": %q}], "ips": [{"interface": 1, "address": "10.0.%d.2/24"}, {"address": "fd00::%d/64"}]}`,
			device, strings.ToUpper(n.netns.MAC(t, device)), n.netns.Path, i, i+1))
		n.address(device, fmt.Sprintf("10.0.%d.2/32", i))
		n.address(device, fmt.Sprintf("fd00::%d/64", i+1))
	}
	must(t, n.book.Plan(t.Context(), netns, podargs.Pod{Namespace: "tenant", Name: "app"}, "eth0", entries))
	must(t, n.book.Attached(results))
	n.book.Close()
	return n
}

func entry(t *testing.T, device string) ledger.Entry {
	t.Helper()
	chain, err := cniconf.Parse([]byte(`{"type": "bridge"}`), cniconf.Defaults{Name: "of-" + device, CNIVersion: "1.0.0"})
	must(t, err)
	return ledger.Entry{Attachment: plan.Attachment{Network: "of-" + device, Device: device, Config: chain}, State: ledger.Planned, Created: made}
}

func (n *node) link(name string) {
	n.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	must(n.T, n.netns.Links(n).LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
}

func (n *node) address(device, address string) {
	n.Helper()
	addr, err := netlink.ParseAddr(address)
	must(n.T, err)
	must(n.T, n.netns.Links(n).AddrAdd(n.netns.Link(n, device), addr))
}

// change is a verb that changes the record.
func (n *node) change(do func(*ledger.Book) error) {
	n.Helper()
	l, err := ledger.Open(n.dir)
	must(n.T, err)
	book, err := l.Lock(n.Context(), "c1")
	must(n.T, err)
	defer book.Close()
	must(n.T, do(book))
}

func TestTheListSaysWhatEachDelegateGave(t *testing.T) {
	n := newNode(t)
	n.change(func(b *ledger.Book) error { return b.Park("net1", made.Add(time.Hour), errors.New("it is stuck")) })
	n.change(func(b *ledger.Book) error {
		return b.Plan(t.Context(), b.Record().Netns, podargs.Pod{}, "", []ledger.Entry{entry(t, "net2")})
	})
	snapshot, err := ledger.Read(n.dir)
	must(t, err)
	got, err := json.MarshalIndent(Of(snapshot), "", " ")
	must(t, err)
	want := strings.NewReplacer("MAC0", strings.ToUpper(n.netns.MAC(t, "eth0")), "MAC1", strings.ToUpper(n.netns.MAC(t, "net1"))).Replace(`[
 {
  "namespace": "tenant",
  "pod": "app",
  "containerID": "c1",
  "network": "of-eth0",
  "device": "eth0",
  "mac": "MAC0",
  "ips": [
   "10.0.0.2/24",
   "fd00::1/64"
  ],
  "state": "attached",
  "created": "2026-01-02T03:04:05Z"
 },
 {
  "namespace": "tenant",
  "pod": "app",
  "containerID": "c1",
  "network": "of-net2",
  "device": "net2",
  "state": "planned",
  "created": "2026-01-02T03:04:05Z"
 },
 {
  "namespace": "tenant",
  "pod": "app",
  "containerID": "c1",
  "network": "of-net1",
  "device": "net1",
  "mac": "MAC1",
  "ips": [
   "10.0.1.2/24",
   "fd00::2/64"
  ],
  "state": "orphan",
  "created": "2026-01-02T03:04:05Z",
  "failures": 1,
  "lastFailure": "it is stuck"
 }
]`)
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestThePodsAreInOrder(t *testing.T) {
	record := func(id, namespace, name string) ledger.Record {
		return ledger.Record{ContainerID: id, Pod: podargs.Pod{Namespace: namespace, Name: name}, Attachments: []ledger.Entry{entry(t, "eth0"), entry(t, "a")}}
	}
	got := ""
	for _, a := range Of(ledger.Snapshot{Records: []ledger.Record{record("1", "b", "a"), record("2", "a", "b"), record("3", "a", "a")}}) {
		got += a.ContainerID + a.Device + " "
	}
	if want := "3eth0 3a 2eth0 2a 1eth0 1a "; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
}

func TestCompareFindsWhatIsOff(t *testing.T) {
	for what, c := range map[string]struct {
		spoil      func(n *node)
		eth0, net1 string
	}{
		"nothing": {func(*node) {}, "", ""},
		"a device that is gone": {func(n *node) { must(n.T, n.netns.Links(n).LinkDel(n.netns.Link(n, "net1"))) },
			"", "there is no such device"},
		"another MAC address": {func(n *node) {
			must(n.T, n.netns.Links(n).LinkSetHardwareAddr(n.netns.Link(n, "net1"), []byte{0x0a, 0, 0, 0, 0, 2}))
		}, "", "the MAC address is 0a:00:00:00:00:02"},
		"an address that is gone": {func(n *node) {
			addr, err := netlink.ParseAddr("10.0.0.2/32")
			must(n.T, err)
			must(n.T, n.netns.Links(n).AddrDel(n.netns.Link(n, "eth0"), addr))
		}, "the address 10.0.0.2/24 is missing", ""},
		"a namespace that is gone": {func(n *node) { n.netns.Remove() }, "namespace", "namespace"},
		"a DEL that failed": {func(n *node) {
			n.change(func(b *ledger.Book) error { return b.Failed("net1", made, errors.New("it is stuck")) })
		}, "", "it is stuck"},
		"an orphan": {func(n *node) {
			n.change(func(b *ledger.Book) error { return b.Park("net1", made, errors.New("it is stuck")) })
		}, "", "gave it up: it is stuck"},
	} {
		t.Run(what, func(t *testing.T) {
			n := newNode(t)
			c.spoil(n)
			found, err := Compare(n.dir)
			must(t, err)
			if len(found) != 2 {
				t.Fatalf("got %+v", found)
			}
			for i, want := range []string{c.eth0, c.net1} {
				if got := found[i].Problem; (want == "") != (got == "") || !strings.Contains(got, want) || found[i].Busy {
					t.Errorf("%s: %q; want %q", found[i].Device, got, want)
				}
			}
		})
	}
}

func TestWhatIsHalfMadeIsOffUnlessAVerbWorksAtIt(t *testing.T) {
	n := newNode(t)
	l, err := ledger.Open(n.dir)
	must(t, err)
	book, err := l.Lock(t.Context(), "c1")
	must(t, err)
	must(t, book.Plan(t.Context(), book.Record().Netns, podargs.Pod{}, "", []ledger.Entry{entry(t, "net2")}))
	found, err := Compare(n.dir)
	must(t, err)
	for _, f := range found {
		if f.Off() || !f.Busy {
			t.Errorf("while a verb works at it: %+v", f)
		}
	}
	book.Close()
	found, err = Compare(n.dir)
	must(t, err)
	if f := found[2]; f.Device != "net2" || f.Problem != "it is half made" || f.Busy {
		t.Errorf("when it does not: %+v", f)
	}
}

func TestARecordThatDoesNotReadIsOff(t *testing.T) {
	n := newNode(t)
	must(t, os.WriteFile(filepath.Join(n.dir, "c0.json"), []byte("{"), 0o600))
	found, err := Compare(n.dir)
	must(t, err)
	if f := found[len(found)-1]; f.ContainerID != "c0" || !strings.Contains(f.Problem, "c0.json") || len(found) != 3 {
		t.Errorf("got %+v", found)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
