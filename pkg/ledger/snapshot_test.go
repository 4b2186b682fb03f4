package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

func TestReadingTheLedgerDisturbsNoVerbAndChangesNothing(t *testing.T) {
	l, dir := open(t)
	b := lock(t, l, "c1")
	defer b.Close()
	planned(t, b, "eth0", "net1")
	must(t, os.WriteFile(filepath.Join(dir, "c1.tmp"), []byte("half"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "a.json"), []byte("{"), 0o600))
	before := names(t, dir)
	s, err := Read(dir) // which does not wait for the lock
	must(t, err)
	if len(s.Records) != 1 || devicesOf(s.Records[0].Attachments) != "eth0 net1 " {
		t.Errorf("read %+v", s.Records)
	}
	if after := names(t, dir); after != before {
		t.Errorf("the folder had %s, and has %s", before, after)
	}
}

func TestWhatCannotBeReadIsToldWithItsContainer(t *testing.T) {
	l, dir := open(t)
	b := lock(t, l, "good")
	planned(t, b, "eth0")
	b.Close()
	must(t, os.WriteFile(filepath.Join(dir, "bad.json"), []byte("{"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "worse.json"), []byte("{"), 0o600))
	worse := lock(t, l, "worse")
	_, err := worse.SetAside()
	must(t, err)
	worse.Close()
	must(t, os.Symlink("good.json", filepath.Join(dir, "link.json")))
	s, err := l.Read()
	must(t, err)
	if _, ok := s.Find("good"); !ok || len(s.Records) != 1 {
		t.Errorf("records: %+v", s.Records)
	}
	got := map[string]bool{}
	for _, u := range s.Unread {
		got[u.ContainerID] = u.Aside
		if (u.Cause == nil) != u.Aside || !exists(u.Path) {
			t.Errorf("%+v", u)
		}
	}
	if want := map[string]bool{"bad": false, "link": false, "worse": true}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("set aside: %v; want %v", got, want)
	}
}

func TestALedgerThatIsNotThereHoldsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if s, err := Read(dir); err != nil || len(s.Records) != 0 || exists(dir) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestBusyIsAContainerWhoseLockAVerbHas(t *testing.T) {
	l, dir := open(t)
	b := lock(t, l, "c1")
	if !Busy(dir, "c1") || Busy(dir, "c2") {
		t.Errorf("c1: %v, c2: %v", Busy(dir, "c1"), Busy(dir, "c2"))
	}
	b.Close()
	must(t, os.WriteFile(filepath.Join(dir, "c1.lock"), nil, 0o600)) // as a verb that was killed leaves it
	if Busy(dir, "c1") || exists(filepath.Join(dir, "c2.lock")) {
		t.Error("a file is taken for a verb, or made")
	}
}

func TestUndoneAndFailedAreOfAnOrphanWhereNoAttachmentHasTheDevice(t *testing.T) {
	l, _ := open(t)
	b := lock(t, l, "c1")
	defer b.Close()
	now := time.Now()
	planned(t, b, "eth0", "net1")
	must(t, b.Park("net1", now, os.ErrClosed))
	must(t, b.Failed("net1", now, os.ErrInvalid))
	if r := b.Record(); len(r.Orphans) != 1 || r.Orphans[0].Failures != 2 || r.Orphans[0].LastFailure != os.ErrInvalid.Error() {
		t.Errorf("%+v", r.Orphans)
	}
	planned(t, b, "net1")
	must(t, b.Undone("net1"))
	if r := b.Record(); devicesOf(r.Attachments) != "eth0 " || len(r.Orphans) != 1 {
		t.Errorf("the attachment: %+v", r)
	}
	must(t, b.Undone("net1"))
	if r := b.Record(); devicesOf(r.Attachments) != "eth0 " || len(r.Orphans) != 0 {
		t.Errorf("the orphan: %+v", r)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	return fmt.Sprint(files)
}

// An operator asks on nodes with 500 Pods.
func BenchmarkReadOf500Pods(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "kactus")
	l, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 500 {
		book, err := l.Lock(b.Context(), fmt.Sprintf("container-%d", i))
		if err != nil {
			b.Fatal(err)
		}
		var entries []Entry
		for _, device := range []string{"eth0", "net1", "net2", "net3"} {
			e, err := newEntry(device)
			if err != nil {
				b.Fatal(err)
			}
			entries = append(entries, e)
		}
		if err := book.Plan(b.Context(), Netns{}, podargs.Pod{Namespace: "tenant", Name: "app"}, "eth0", entries); err != nil {
			b.Fatal(err)
		}
		book.Close()
	}
	for b.Loop() {
		if s, err := Read(dir); err != nil || len(s.Records) != 500 {
			b.Fatal(len(s.Records), err)
		}
	}
}
