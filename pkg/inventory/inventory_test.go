package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

var testCreated = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// testLedger is a ledger with the container c1, which has the attachments eth0 and net1.
type testLedger struct {
	*testing.T
	ledger.Ledger
	dir string
}

// newTestLedger records the network namespace ns, and that the delegates of eth0 and net1 gave them
// those MAC addresses and the addresses of newResult.
func newTestLedger(t *testing.T, ns netns.ID, mac0, mac1 string) testLedger {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kactus")
	l, err := ledger.Open(dir, filepath.Join(t.TempDir(), "locks"))
	must(t, err)
	tl := testLedger{T: t, Ledger: l, dir: dir}
	tl.change(func(r *ledger.LockedRecord) error {
		planned := []ledger.Attachment{newPlanned(t, "eth0"), newPlanned(t, "net1")}
		err := r.WritePlanned(t.Context(), ns, podargs.Pod{Namespace: "tenant", Name: "app"}, "eth0", planned)
		if err != nil {
			return err
		}
		return r.MarkAttached(map[string]json.RawMessage{
			"eth0": newResult(0, "eth0", mac0),
			"net1": newResult(1, "net1", mac1),
		})
	})
	return tl
}

// change changes the record as an operation does.
func (l testLedger) change(do func(*ledger.LockedRecord) error) {
	l.Helper()
	r := l.lock()
	defer r.Close()
	must(l, do(r))
}

func (l testLedger) lock() *ledger.LockedRecord {
	l.Helper()
	r, err := l.Lock(l.Context(), "c1")
	must(l, err)
	return r
}

// addPlanned adds the attachment net2, whose delegate may have run.
func (l testLedger) addPlanned(r *ledger.LockedRecord) error {
	return r.WritePlanned(l.Context(), netns.ID{}, podargs.Pod{}, "", []ledger.Attachment{newPlanned(l, "net2")})
}

// newResult returns a result with an interface on the node and the interface in the Pod, which has
// the addresses 10.0.n.2/24 and, without an index, fd00::(n+1)/64.
func newResult(n int, ifName, mac string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"cniVersion": "1.0.0", "interfaces": [
		{"name": "veth0", "mac": "0a:00:00:00:00:99"}, {"name": %q, "mac": %q, "sandbox": "/run/netns/a"}],
		"ips": [{"interface": 1, "address": "10.0.%d.2/24"}, {"address": "fd00::%d/64"}]}`, ifName, mac, n, n+1))
}

func newPlanned(t testing.TB, ifName string) ledger.Attachment {
	t.Helper()
	chain, err := cniconf.Parse([]byte(`{"type": "bridge"}`),
		cniconf.Defaults{Name: "of-" + ifName, CNIVersion: "1.0.0"})
	must(t, err)
	return ledger.Attachment{
		Attachment: plan.Attachment{Network: "of-" + ifName, IfName: ifName, Config: chain},
		State:      ledger.Planned,
		Created:    testCreated,
	}
}

func TestList_JSON(t *testing.T) {
	l := newTestLedger(t, netns.ID{}, "0A:00:00:00:00:01", "0a:00:00:00:00:02")
	l.change(func(r *ledger.LockedRecord) error {
		return r.Orphan("net1", testCreated.Add(time.Hour), errors.New("the daemon is down"), nil)
	})
	l.change(l.addPlanned)
	got, err := json.MarshalIndent(collect(t, List(l.Ledger)), "", " ")
	must(t, err)
	const want = `[
 {
  "namespace": "tenant",
  "pod": "app",
  "containerID": "c1",
  "network": "of-eth0",
  "device": "eth0",
  "mac": "0A:00:00:00:00:01",
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
  "mac": "0a:00:00:00:00:02",
  "ips": [
   "10.0.1.2/24",
   "fd00::2/64"
  ],
  "state": "orphan",
  "created": "2026-01-02T03:04:05Z",
  "failures": 1,
  "lastFailure": "the daemon is down"
 }
]`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// collect returns the elements of a sequence that has no error.
func collect[T any](t testing.TB, all iter.Seq2[T, error]) []T {
	t.Helper()
	var list []T
	for element, err := range all {
		must(t, err)
		list = append(list, element)
	}
	return list
}

func TestList_Order(t *testing.T) {
	dir := t.TempDir()
	l, err := ledger.Open(dir, filepath.Join(t.TempDir(), "locks"))
	must(t, err)
	for _, c := range []struct{ id, namespace, name string }{
		{"1", "b", "a"}, {"2", "a", "b"}, {"4", "a", "a"}, {"3", "a", "a"},
	} {
		r, err := l.Lock(t.Context(), c.id)
		must(t, err)
		planned := []ledger.Attachment{newPlanned(t, "eth0"), newPlanned(t, "a")}
		pod := podargs.Pod{Namespace: c.namespace, Name: c.name}
		must(t, r.WritePlanned(t.Context(), netns.ID{}, pod, "eth0", planned))
		r.Close()
	}
	must(t, os.WriteFile(filepath.Join(dir, "0.json"), []byte("{"), 0o600))
	var got []string
	for a, err := range List(l) {
		got = append(got, a.ContainerID+" "+a.IfName)
		var corrupt ledger.CorruptRecord
		if errors.As(err, &corrupt) {
			got[len(got)-1] = corrupt.ContainerID + " corrupt"
		}
	}
	want := []string{"3 eth0", "3 a", "4 eth0", "4 a", "2 eth0", "2 a", "1 eth0", "1 a", "0 corrupt"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	t.Run("a caller can stop early", func(t *testing.T) {
		for a, err := range List(l) {
			if err != nil || a.ContainerID != "3" {
				t.Errorf("got %+v, %v", a, err)
			}
			break
		}
	})
}

func TestGiven(t *testing.T) {
	const own = `{"name": "eth0", "mac": "0a:00:00:00:00:01", "sandbox": "/n"}`
	for name, c := range map[string]struct {
		result, mac string
		ips         []netip.Prefix
	}{
		"no result":                    {``, "", nil},
		"a result that cannot be read": {`{"cniVersion": "9.9.9"}`, "", nil},
		"nothing of the interface":     {`{"cniVersion": "1.0.0"}`, "", nil},
		"an interface of the same name on the node": {
			`{"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "mac": "0a:00:00:00:00:99"}, ` + own + `],
				"ips": [{"interface": 0, "address": "10.0.0.1/24"}, {"interface": 1, "address": "10.0.0.2/24"}]}`,
			"0a:00:00:00:00:01", []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")},
		},
		"the address of another interface in the Pod": {
			`{"cniVersion": "1.0.0", "interfaces": [` + own + `, {"name": "eth1", "sandbox": "/n"}],
				"ips": [{"interface": 1, "address": "10.0.0.1/24"}]}`,
			"0a:00:00:00:00:01", nil,
		},
		"indexes that are out of range": {
			`{"cniVersion": "1.0.0", "interfaces": [` + own + `],
				"ips": [{"interface": -1, "address": "10.0.0.1/24"}, {"interface": 1, "address": "10.0.0.2/24"},
					{"interface": 0, "address": "10.0.0.3/24"}]}`,
			"0a:00:00:00:00:01", []netip.Prefix{netip.MustParsePrefix("10.0.0.3/24")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newPlanned(t, "eth0")
			a.Result = json.RawMessage(c.result)
			if mac, ips := given(a); mac != c.mac || !reflect.DeepEqual(ips, c.ips) {
				t.Errorf("got %s %v, want %s %v", mac, ips, c.mac, c.ips)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
