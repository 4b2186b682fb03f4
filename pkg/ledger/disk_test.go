package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// openSmall opens a ledger on a file system of 64 KiB, and returns what fills it.
func openSmall(t *testing.T) (l Ledger, dir string, fill func()) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Fatalf("mount a small file system (it takes root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l, err := Open(dir)
	must(t, err)
	return l, dir, func() {
		file, err := os.Create(filepath.Join(dir, "filler"))
		must(t, err)
		defer file.Close()
		for err == nil {
			_, err = file.Write(make([]byte, 4096))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
}

func TestAPlanThatDoesNotFitFailsAndLeavesNoFile(t *testing.T) {
	l, dir, fill := openSmall(t)
	b := lock(t, l, "c1")
	fill()
	err := b.Plan(context.Background(), Netns{}, podargs.Pod{}, "eth0", []Entry{entry(t, "eth0")})
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "write the plan for the container c1") {
		t.Errorf("Plan: %v", err)
	}
	if n := len(b.Record().Attachments); n != 0 {
		t.Errorf("the record has %d attachments, which nobody is to make", n)
	}
	b.Close()
	if left, _ := filepath.Glob(filepath.Join(dir, "c1*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAHotPlanThatDoesNotFitLeavesTheRecordAsItWas(t *testing.T) {
	l, _, fill := openSmall(t)
	b := lock(t, l, "c1")
	planned(t, b, "eth0")
	fill()
	e := entry(t, "net1")
	e.Args = strings.Repeat("x", 32<<10)
	if err := b.Plan(context.Background(), Netns{}, podargs.Pod{}, "", []Entry{e}); err == nil {
		t.Error("Plan succeeded")
	}
	b.Close()
	b = lock(t, l, "c1")
	defer b.Close()
	if got := devicesOf(b.Record().Attachments); got != "eth0 " || b.Unread() != nil {
		t.Errorf("attachments: %q, %v", got, b.Unread())
	}
}

func TestADiskThatFillsUpDoesNotKeepARecordOfWhatIsUndone(t *testing.T) {
	l, dir, fill := openSmall(t)
	b := lock(t, l, "c1")
	planned(t, b, "eth0", "net1")
	fill()
	if err := b.Undone("net1"); err == nil { // the shorter record is a file of its own until it takes the old one's place
		t.Fatal("the disk is not full")
	}
	if b.Unsaved() == nil {
		t.Error("Unsaved does not tell that net1 is still in the file")
	}
	if err := b.Undone("eth0"); err != nil {
		t.Errorf("the last one needs no room: %v", err)
	}
	if err := b.Unsaved(); err != nil {
		t.Errorf("Unsaved: %v", err)
	}
	b.Close()
	if left, _ := filepath.Glob(filepath.Join(dir, "c1*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestWhatDidNotReachTheDiskDoesWithTheNextChange(t *testing.T) {
	l, dir, fill := openSmall(t)
	b := lock(t, l, "c1")
	planned(t, b, "eth0", "net1", "net2")
	fill()
	if b.Undone("net1") == nil {
		t.Fatal("the disk is not full")
	}
	must(t, os.Remove(filepath.Join(dir, "filler")))
	must(t, b.Failed("net2", time.Now(), errors.New("no")))
	b.Close()
	b = lock(t, l, "c1")
	defer b.Close()
	if got := devicesOf(b.Record().Attachments); got != "eth0 net2 " {
		t.Errorf("attachments: %q", got)
	}
}

func TestADiskThatIsReadOnlyLetsWhatIsThereBeUndone(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"with a record":                       func(string) error { return nil },
		"with a record that does not read":    func(path string) error { return os.Truncate(path, 7) },
		"with a lock's file that was left":    func(path string) error { return os.WriteFile(strings.TrimSuffix(path, "json")+"lock", nil, 0o600) },
		"with neither a record nor its trace": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			l, dir, _ := openSmall(t)
			b := lock(t, l, "c1")
			planned(t, b, "eth0")
			b.Close()
			must(t, spoil(filepath.Join(dir, "c1.json")))
			must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))

			b = lock(t, l, "c1")
			if err := tryLock(l, "c1"); !errors.Is(err, ErrBusy) {
				t.Errorf("another verb on the container: %v", err)
			}
			if _, known := b.Record().Find("eth0"); known != (name == "with a record" || strings.Contains(name, "lock's")) {
				t.Errorf("the record is %+v", b.Record())
			}
			if err := b.Plan(context.Background(), Netns{}, podargs.Pod{}, "", []Entry{entry(t, "net1")}); !errors.Is(err, unix.EROFS) {
				t.Errorf("Plan: %v", err)
			}
			if b.Unread() != nil {
				if _, err := b.SetAside(); !errors.Is(err, unix.EROFS) || !errors.Is(b.Unsaved(), unix.EROFS) {
					t.Errorf("SetAside: %v, and unsaved: %v", err, b.Unsaved())
				}
			}
			if err := b.Undone("eth0"); strings.HasPrefix(name, "with a record") && b.Unsaved() == nil {
				t.Errorf("what is still in the file is not told of: %v", err)
			}
			b.Close()
			must(t, tryLock(l, "c1"))
		})
	}
}
