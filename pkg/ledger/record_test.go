package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

func TestTheNextVerbReadsWhatTheLastOneRecorded(t *testing.T) {
	l, _ := open(t)
	b := lock(t, l, "c1")
	netns := Netns{Path: "/run/netns/a", Device: 4, Inode: 4026532008, BootID: "boot"}
	pod := podargs.Pod{Namespace: "tenant", Name: "app", UID: "uid", InfraContainerID: "c1"}
	must(t, b.Plan(context.Background(), netns, pod, "eth0", []Entry{entry(t, "eth0"), entry(t, "net1")}))
	must(t, b.Attached(map[string]json.RawMessage{"eth0": json.RawMessage(`{"cniVersion":"1.0.0"}`)}))
	must(t, b.Failed("net1", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), errors.New("no")))
	written := b.Record()
	b.Close()

	b = lock(t, l, "c1")
	defer b.Close()
	read := b.Record()
	if w, r := encode(t, written), encode(t, read); w != r {
		t.Errorf("wrote %s\nread  %s", w, r)
	}
	if read.Netns != netns || read.Pod != pod || read.Device != "eth0" {
		t.Errorf("read %+v", read)
	}
	eth0, ok := read.Find("eth0")
	if !ok || eth0.State != Attached || string(eth0.Result) != `{"cniVersion":"1.0.0"}` {
		t.Errorf("eth0: %+v", eth0)
	}
	net1, ok := read.Find("net1")
	if !ok || net1.State != Planned || len(net1.Result) != 0 || net1.MAC != "0a:00:00:00:00:01" {
		t.Errorf("net1: %+v", net1)
	}
	stdin, err := net1.Config.Plugins[0].Stdin(nil)
	var conf map[string]any
	if err != nil || json.Unmarshal(stdin, &conf) != nil ||
		!reflect.DeepEqual(conf, map[string]any{"type": "bridge", "bridge": "br0", "mtu": 1400.0}) {
		t.Errorf("the delegate's configuration is %s, %v", stdin, err)
	}
}

func TestARecordOfNothingHasNoFile(t *testing.T) {
	l, dir := open(t)
	b := lock(t, l, "c1")
	planned(t, b, "eth0", "net1")
	file := filepath.Join(dir, "c1.json")
	must(t, b.Undone("net1"))
	if !exists(file) {
		t.Fatal("eth0 is not undone, and its record is gone")
	}
	must(t, b.Undone("eth0"))
	if exists(file) {
		t.Error("all is undone, and the file is still there")
	}
	must(t, b.Undone("eth0")) // and again: it is idempotent
	b.Close()
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestUndoneRemovesThatDeviceAlone(t *testing.T) {
	l, _ := open(t)
	b := lock(t, l, "c1")
	planned(t, b, "eth0", "net1", "net2")
	must(t, b.Undone("net1"))
	must(t, b.Undone("of-net2")) // a network's name is not a device
	b.Close()
	b = lock(t, l, "c1")
	defer b.Close()
	if got := devicesOf(b.Record().Attachments); got != "eth0 net2 " {
		t.Errorf("left: %s", got)
	}
}

func TestFailedCountsAndKeepsTheFirstTimeAndTheLastReason(t *testing.T) {
	l, _ := open(t)
	b := lock(t, l, "c1")
	planned(t, b, "eth0", "net1")
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, b.Failed("net1", first, errors.New("one")))
	b.Close()
	b = lock(t, l, "c1")
	defer b.Close()
	must(t, b.Failed("net1", first.Add(time.Hour), errors.New(strings.Repeat("x", 1<<20))))
	e, _ := b.Record().Find("net1")
	if e.Failures != 2 || e.FailingSince == nil || !e.FailingSince.Equal(first) || len(e.LastFailure) != 4<<10 {
		t.Errorf("%d failures since %v, for a reason of %d bytes", e.Failures, e.FailingSince, len(e.LastFailure))
	}
	if e, _ := b.Record().Find("eth0"); e.Failures != 0 || e.FailingSince != nil {
		t.Errorf("eth0 has not failed: %+v", e)
	}
}

func TestParkMovesAnAttachmentToTheOrphans(t *testing.T) {
	l, dir := open(t)
	b := lock(t, l, "c1")
	planned(t, b, "eth0", "net1")
	must(t, b.Park("net1", time.Now(), errors.New("gone")))
	must(t, b.Undone("eth0"))
	b.Close()
	if !exists(filepath.Join(dir, "c1.json")) {
		t.Fatal("an orphan must not be forgotten")
	}
	b = lock(t, l, "c1")
	defer b.Close()
	r := b.Record()
	if len(r.Attachments) != 0 || devicesOf(r.Orphans) != "net1 " || r.Orphans[0].LastFailure != "gone" || r.Orphans[0].Failures != 1 {
		t.Errorf("%+v", r)
	}
}

func TestAHotPlanAddsToARecordAndKeepsWhatItSaysOfThePod(t *testing.T) {
	l, _ := open(t)
	b := lock(t, l, "c1")
	defer b.Close()
	planned(t, b, "eth0")
	must(t, b.Plan(context.Background(), Netns{Path: "/another/path"}, podargs.Pod{Name: "app"}, "", []Entry{entry(t, "net1")}))
	r := b.Record()
	if r.Netns.Path != "/run/netns/a" || r.Pod.Namespace != "tenant" || r.Device != "eth0" {
		t.Errorf("%+v", r)
	}
	if got := devicesOf(r.Attachments); got != "eth0 net1 " {
		t.Errorf("attachments: %s", got)
	}
}

func TestAPlanAfterOrphansAloneSaysWhoseThePodIsNow(t *testing.T) {
	l, _ := open(t)
	b := lock(t, l, "c1")
	defer b.Close()
	planned(t, b, "eth0")
	must(t, b.Park("eth0", time.Now(), errors.New("gone")))
	must(t, b.Plan(context.Background(), Netns{Path: "/run/netns/b"}, podargs.Pod{Name: "next"}, "eth0", []Entry{entry(t, "eth0")}))
	r := b.Record()
	if r.Netns.Path != "/run/netns/b" || r.Pod.Name != "next" || devicesOf(r.Orphans) != "eth0 " {
		t.Errorf("%+v", r)
	}
}

func TestARecordThatACallerChangesIsItsOwn(t *testing.T) {
	l, _ := open(t)
	b := lock(t, l, "c1")
	defer b.Close()
	planned(t, b, "eth0", "net1")
	mine := b.Record()
	mine.Attachments[0].Device = "changed"
	before := b.Record()
	must(t, b.Undone("eth0"))
	if got := devicesOf(before.Attachments); got != "eth0 net1 " {
		t.Errorf("a record that was read before changed to %s", got)
	}
	if got := devicesOf(b.Record().Attachments); got != "net1 " {
		t.Errorf("left: %s", got)
	}
}

func TestAttachmentsUndoneAtOnceAreAllRecorded(t *testing.T) {
	l, dir := open(t)
	b := lock(t, l, "c1")
	defer b.Close()
	devices := []string{"net0", "net1", "net2", "net3", "net4", "net5", "net6", "net7"}
	planned(t, b, devices...)
	done := make(chan error)
	for _, device := range devices[1:] {
		go func() { done <- b.Undone(device) }()
	}
	for range devices[1:] {
		must(t, <-done)
	}
	data, err := readFile(filepath.Join(dir, "c1.json"))
	must(t, err)
	r, err := decode(data, "c1")
	if err != nil || devicesOf(r.Attachments) != "net0 " {
		t.Errorf("on the disk: %s, %v", devicesOf(r.Attachments), err)
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	must(t, err)
	return string(data)
}

// Hot ADDs come one after the other, and each verb reads what all of them left.
func TestARecordThatIsLargeAlreadyDoesNotGrow(t *testing.T) {
	l, _ := open(t)
	b := lock(t, l, "c1")
	defer b.Close()
	planned(t, b, "eth0")
	must(t, b.Attached(map[string]json.RawMessage{"eth0": json.RawMessage(`"` + strings.Repeat("x", maxPlanned) + `"`)}))
	before, err := os.ReadFile(b.path(".json"))
	must(t, err)
	err = b.Plan(t.Context(), Netns{}, podargs.Pod{}, "", []Entry{entry(t, "net1")})
	if err == nil || !strings.Contains(err.Error(), "does not grow") {
		t.Errorf("got %v", err)
	}
	if after, err := os.ReadFile(b.path(".json")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the record changed: %v", err)
	}
	must(t, b.Undone("eth0"))
	planned(t, b, "net1")
}
