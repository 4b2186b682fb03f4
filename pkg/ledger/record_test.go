package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

var testTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestRecord_IsReadAsWritten(t *testing.T) {
	l := openLedger(t)
	r := lock(t, l, "c1")
	ns := netns.ID{Path: "/run/netns/a", Device: 4, Inode: 4026532008, BootID: "boot", Mounts: 5}
	pod := podargs.Pod{Namespace: "tenant", Name: "app", UID: "uid", InfraContainerID: "c1"}
	must(t, r.WritePlanned(context.Background(), ns, pod, "eth0", attachments(t, "eth0", "net1")))
	must(t, r.MarkAttached(map[string]json.RawMessage{"eth0": json.RawMessage(`{"cniVersion":"1.0.0"}`)}))
	must(t, r.MarkMACChange("net1", "0a:00:00:00:00:02"))
	routes := []netns.Route{{
		Destination: netip.MustParsePrefix("::/0"), Hops: []netns.Hop{{IfName: "eth0"}}, Metric: 1024,
	}}
	must(t, r.MarkRouteChange("net1", routes))
	must(t, r.MarkFailed("net1", testTime, errors.New("no"), nil))
	written := r.Record()
	r.Close()

	r = lock(t, l, "c1")
	defer r.Close()
	read := r.Record()
	if !reflect.DeepEqual(read, written) {
		t.Errorf("read  %+v\nwrote %+v", read, written)
	}
	if read.ContainerID != "c1" || read.Netns != ns || read.Pod != pod || read.IfName != "eth0" {
		t.Errorf("read %+v", read)
	}
	eth0, ok := read.Find("eth0")
	if !ok || eth0.State != Attached || string(eth0.Result) != `{"cniVersion":"1.0.0"}` || eth0.PreviousMAC != "" ||
		eth0.PreviousRoutes != nil {
		t.Errorf("eth0: %+v", eth0)
	}
	net1, ok := read.Find("net1")
	if !ok || net1.State != Planned || len(net1.Result) != 0 || net1.MAC != "0a:00:00:00:00:01" ||
		net1.PreviousMAC != "0a:00:00:00:00:02" || !reflect.DeepEqual(net1.PreviousRoutes, routes) {
		t.Errorf("net1: %+v", net1)
	}
	stdin, err := net1.Config.Plugins[0].Stdin(nil)
	if want := `{"bridge":"br0","mtu":1400,"type":"bridge"}`; err != nil || string(stdin) != want {
		t.Errorf("the delegate's configuration is %s, %v, want %s", stdin, err, want)
	}
	if a, ok := read.Find("net2"); ok {
		t.Errorf("net2: %+v", a)
	}
}

func TestFindNetwork(t *testing.T) {
	attached := func(name, namespace, ifName string, npwg bool) Attachment {
		return Attachment{Attachment: plan.Attachment{Network: name, Namespace: namespace, IfName: ifName, NPWG: npwg}}
	}
	record := Record{Attachments: []Attachment{
		attached("blue", "", "eth0", false), attached("red", "tenant", "eth1", false),
		attached("green", "tenant", "net1", true), attached("green", "tenant", "net2", false),
	}}
	for _, tt := range []struct{ name, network, want string }{
		{"a Network, on whichever interface", "red", "eth1"},
		{"a Network that has the name of a NetworkAttachmentDefinition", "green", "net2"},
		{"a network of the netconf", "blue", ""},
		{"none", "other", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a, ok := record.FindNetwork(tt.network); a.IfName != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %t", a.IfName, ok)
			}
		})
	}
}

func TestHalfMade(t *testing.T) {
	for _, a := range []Attachment{{State: Planned}, {State: Attached, Failures: 1}} {
		if !a.HalfMade() {
			t.Errorf("%+v is not", a)
		}
	}
	if (Attachment{State: Attached}).HalfMade() {
		t.Error("an attachment that is whole is")
	}
}

func TestRemove(t *testing.T) {
	t.Run("the file goes with the last attachment", func(t *testing.T) {
		l := openLedger(t)
		r := lock(t, l, "c1")
		writePlanned(t, r, "eth0", "net1")
		must(t, r.Remove("net1"))
		if !exists(r.path(".json")) {
			t.Fatal("the file is gone, with eth0 in it")
		}
		must(t, r.Remove("eth0"))
		if exists(r.path(".json")) {
			t.Error("the file is left without an attachment")
		}
		must(t, r.Remove("eth0")) // Remove is idempotent
		r.Close()
		if left := fileNames(t, l.dir); left != "" {
			t.Errorf("left: %s", left)
		}
	})
	t.Run("that attachment alone", func(t *testing.T) {
		l := openLedger(t)
		r := lock(t, l, "c1")
		defer r.Close()
		writePlanned(t, r, "eth0", "net1", "net2")
		must(t, r.Remove("net1"))
		must(t, r.Remove("of-net2")) // the name of a network, not of an interface
		if got, _ := recordOf(t, l, "c1"); got != "eth0 net2" {
			t.Errorf("the record has %s", got)
		}
	})
	t.Run("by several goroutines", func(t *testing.T) {
		l := openLedger(t)
		r := lock(t, l, "c1")
		defer r.Close()
		names := []string{"net0", "net1", "net2", "net3", "net4", "net5", "net6", "net7"}
		writePlanned(t, r, names...)
		removed := make(chan error)
		for _, name := range names[1:] {
			go func() { removed <- r.Remove(name) }()
		}
		for range names[1:] {
			must(t, <-removed)
		}
		if got, _ := recordOf(t, l, "c1"); got != "net0" {
			t.Errorf("the record has %s", got)
		}
	})
}

func TestMarkFailed(t *testing.T) {
	l := openLedger(t)
	r := lock(t, l, "c1")
	writePlanned(t, r, "eth0", "net1")
	must(t, r.MarkFailed("net1", testTime, errors.New("one"), nil))
	r.Close()
	r = lock(t, l, "c1")
	defer r.Close()
	a, _ := r.Record().Find("net1")
	if a.Failures != 1 || a.FailingSince == nil || !a.FailingSince.Equal(testTime) || a.LastFailure != "one" {
		t.Errorf("after one failure: %d since %v, %q", a.Failures, a.FailingSince, a.LastFailure)
	}
	must(t, r.MarkFailed("net1", testTime.Add(time.Hour), errors.New("two"+strings.Repeat("x", 1<<20)), nil))
	a, _ = r.Record().Find("net1")
	if a.Failures != 2 || a.FailingSince == nil || !a.FailingSince.Equal(testTime) {
		t.Errorf("after two failures: %d since %v", a.Failures, a.FailingSince)
	}
	if len(a.LastFailure) != 4<<10 || !strings.HasPrefix(a.LastFailure, "two") {
		t.Errorf("the last failure has %d bytes: %.10q", len(a.LastFailure), a.LastFailure)
	}
	if a, _ := r.Record().Find("eth0"); a.Failures != 0 || a.FailingSince != nil || a.LastFailure != "" {
		t.Errorf("eth0 has not failed: %+v", a)
	}
}

func TestOrphan(t *testing.T) {
	t.Run("keeps the attachment in the record", func(t *testing.T) {
		l := openLedger(t)
		r := lock(t, l, "c1")
		writePlanned(t, r, "eth0", "net1")
		must(t, r.Orphan("net1", testTime, errors.New("gone"), nil))
		must(t, r.Orphan("net1", testTime, errors.New("gone"), nil)) // Orphan is idempotent
		must(t, r.Remove("eth0"))
		r.Close()
		r = lock(t, l, "c1")
		defer r.Close()
		record := r.Record()
		if len(record.Attachments) != 0 || ifNames(record.Orphans) != "net1" {
			t.Fatalf("the record is %+v", record)
		}
		if o := record.Orphans[0]; o.LastFailure != "gone" || o.Failures != 1 || !o.FailingSince.Equal(testTime) {
			t.Errorf("the orphan is %+v", o)
		}
	})
	t.Run("MarkFailed and Remove prefer an attachment of the same name", func(t *testing.T) {
		r := lock(t, openLedger(t), "c1")
		defer r.Close()
		writePlanned(t, r, "eth0", "net1")
		must(t, r.Orphan("net1", testTime, errors.New("one"), nil))
		must(t, r.MarkFailed("net1", testTime, errors.New("two"), nil))
		if o := r.Record().Orphans; len(o) != 1 || o[0].Failures != 2 || o[0].LastFailure != "two" {
			t.Errorf("a failure of an orphan: %+v", o)
		}
		writePlanned(t, r, "net1")
		must(t, r.MarkFailed("net1", testTime, errors.New("three"), nil))
		if a, _ := r.Record().Find("net1"); a.Failures != 1 || r.Record().Orphans[0].Failures != 2 {
			t.Errorf("a failure of an attachment: %+v", r.Record())
		}
		must(t, r.Remove("net1"))
		if record := r.Record(); ifNames(record.Attachments) != "eth0" || ifNames(record.Orphans) != "net1" {
			t.Errorf("the attachment was not removed alone: %+v", record)
		}
		must(t, r.Remove("net1"))
		if record := r.Record(); ifNames(record.Attachments) != "eth0" || len(record.Orphans) != 0 {
			t.Errorf("the orphan was not removed: %+v", record)
		}
	})
}

func TestMarkAttached_LeavesOthersAlone(t *testing.T) {
	l := openLedger(t)
	r := lock(t, l, "c1")
	defer r.Close()
	writePlanned(t, r, "eth0", "net1")
	must(t, r.MarkAttached(map[string]json.RawMessage{
		"net1": json.RawMessage(`{}`),
		"net2": json.RawMessage(`{}`), // not in the record
	}))
	record, err := l.ReadRecord("c1")
	must(t, err)
	if a := record.Attachments; len(a) != 2 || a[0].State != Planned || a[1].State != Attached {
		t.Errorf("the record is %+v", record)
	}
}

func TestWritePlanned(t *testing.T) {
	t.Run("a hot plan keeps what the record says of the Pod", func(t *testing.T) {
		l := openLedger(t)
		r := lock(t, l, "c1")
		defer r.Close()
		writePlanned(t, r, "eth0")
		err := r.WritePlanned(context.Background(), netns.ID{Path: "/another/path"}, podargs.Pod{Name: "app"}, "",
			attachments(t, "net1"))
		must(t, err)
		record, err := l.ReadRecord("c1")
		must(t, err)
		if record.Netns != testNetns || record.Pod != testPod || record.IfName != "eth0" {
			t.Errorf("the record is %+v", record)
		}
		if got := ifNames(record.Attachments); got != "eth0 net1" {
			t.Errorf("the record has %s", got)
		}
	})
	t.Run("a plan on top of orphans alone says which Pod this is now", func(t *testing.T) {
		r := lock(t, openLedger(t), "c1")
		defer r.Close()
		writePlanned(t, r, "eth0")
		must(t, r.Orphan("eth0", testTime, errors.New("gone"), nil))
		err := r.WritePlanned(context.Background(), netns.ID{Path: "/run/netns/b"}, podargs.Pod{Name: "next"}, "eth1",
			attachments(t, "eth1"))
		must(t, err)
		record := r.Record()
		if record.Netns.Path != "/run/netns/b" || record.Pod.Name != "next" || record.IfName != "eth1" ||
			ifNames(record.Attachments) != "eth1" || ifNames(record.Orphans) != "eth0" {
			t.Errorf("the record is %+v", record)
		}
	})
	t.Run("a failure leaves the record as it was", func(t *testing.T) {
		l := openLedger(t)
		r := lock(t, l, "c1")
		defer r.Close()
		writePlanned(t, r, "eth0")
		must(t, os.Mkdir(r.path(".tmp"), 0o700)) // in the place of the temporary file
		must(t, os.WriteFile(r.path(".tmp")+"/file", nil, 0o600))
		err := r.WritePlanned(context.Background(), netns.ID{}, podargs.Pod{}, "", attachments(t, "net1"))
		if err == nil || !strings.HasPrefix(err.Error(), "write the plan for the container c1 to the ledger: ") {
			t.Errorf("got %v", err)
		}
		if got := ifNames(r.Record().Attachments); got != "eth0" {
			t.Errorf("the record in memory has %s", got)
		}
		if got, _ := recordOf(t, l, "c1"); got != "eth0" {
			t.Errorf("the record on the disk has %s", got)
		}
		must(t, os.RemoveAll(r.path(".tmp")))
	})
}

// Hot ADDs come one after the other, and each operation reads what all of them left.
func TestWritePlanned_Limit(t *testing.T) {
	l := openLedger(t)
	r := lock(t, l, "c1")
	defer r.Close()
	writePlanned(t, r, "eth0")
	must(t, r.MarkAttached(map[string]json.RawMessage{"eth0": json.RawMessage(`""`)}))
	info, err := os.Stat(r.path(".json"))
	must(t, err)
	fill := func(size int64) {
		t.Helper()
		result := `"` + strings.Repeat("x", int(size-info.Size())) + `"`
		must(t, r.MarkAttached(map[string]json.RawMessage{"eth0": json.RawMessage(result)}))
		if info, err := os.Stat(r.path(".json")); err != nil || info.Size() != size {
			t.Fatalf("the record has %d bytes, want %d (%v)", info.Size(), size, err)
		}
	}
	fill(maxPlanned + 1)
	before, err := os.ReadFile(r.path(".json"))
	must(t, err)
	err = r.WritePlanned(t.Context(), netns.ID{}, podargs.Pod{}, "", attachments(t, "net1"))
	if err == nil || !strings.Contains(err.Error(), "4194305 bytes already, limit is 4194304") {
		t.Errorf("got %v", err)
	}
	if after, err := os.ReadFile(r.path(".json")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the record changed: %v", err)
	}
	fill(maxPlanned)
	writePlanned(t, r, "net1")
	must(t, r.Remove("eth0"))
	writePlanned(t, r, "net2")
}

func TestRecord_IsACopy(t *testing.T) {
	r := lock(t, openLedger(t), "c1")
	defer r.Close()
	writePlanned(t, r, "eth0", "net1", "net2")
	must(t, r.Orphan("net2", testTime, errors.New("gone"), nil))
	changed := r.Record()
	changed.Attachments[0].IfName, changed.Orphans[0].IfName = "changed", "changed"
	before := r.Record()
	must(t, r.Remove("eth0"))
	must(t, r.MarkFailed("net2", testTime, errors.New("again"), nil))
	if ifNames(before.Attachments) != "eth0 net1" || ifNames(before.Orphans) != "net2" ||
		before.Orphans[0].Failures != 1 {
		t.Errorf("a record that was returned before changed to %+v", before)
	}
	if record := r.Record(); ifNames(record.Attachments) != "net1" || ifNames(record.Orphans) != "net2" {
		t.Errorf("the record is %+v", record)
	}
}
