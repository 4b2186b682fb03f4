//go:build root

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

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// smallDisk is a file system of 64 KiB.
type smallDisk struct {
	*testing.T
	dir string
}

// openOnSmallDisk opens a ledger on a disk of its own, with its locks elsewhere.
func openOnSmallDisk(t *testing.T) (Ledger, smallDisk) {
	t.Helper()
	disk := smallDisk{T: t, dir: t.TempDir()}
	if err := unix.Mount("tmpfs", disk.dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Fatalf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk.dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l, err := Open(disk.dir, filepath.Join(t.TempDir(), "locks"))
	must(t, err)
	return l, disk
}

func (d smallDisk) filler() string { return filepath.Join(d.dir, "filler") }

// fill leaves no space on the disk.
func (d smallDisk) fill() {
	d.Helper()
	file, err := os.Create(d.filler())
	must(d, err)
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		d.Fatal(err)
	}
}

func (d smallDisk) makeReadOnly() {
	d.Helper()
	must(d, unix.Mount("", d.dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
}

// files returns the names of the files, without the one that fills the disk.
func (d smallDisk) files() string {
	return strings.TrimSpace(strings.ReplaceAll(fileNames(d, d.dir), "filler", ""))
}

func TestWritePlanned_FullDisk(t *testing.T) {
	t.Run("the first plan of a container", func(t *testing.T) {
		l, disk := openOnSmallDisk(t)
		disk.fill()
		r := lock(t, l, "c1")
		err := r.WritePlanned(context.Background(), testNetns, testPod, "eth0", attachments(t, "eth0"))
		const prefix = "write the plan for the container c1 to the ledger: "
		if !errors.Is(err, unix.ENOSPC) || !strings.HasPrefix(err.Error(), prefix) {
			t.Errorf("got %v", err)
		}
		if record := r.Record(); len(record.Attachments) != 0 || record.IfName != "" || r.Unsaved() != nil {
			t.Errorf("the record is %+v, unsaved: %v", record, r.Unsaved())
		}
		r.Close()
		if left := disk.files(); left != "" {
			t.Errorf("left: %s", left)
		}
	})
	t.Run("a hot plan leaves the record as it was", func(t *testing.T) {
		l, disk := openOnSmallDisk(t)
		r := lock(t, l, "c1")
		writePlanned(t, r, "eth0")
		disk.fill()
		hot := attachments(t, "net1")
		hot[0].Args = strings.Repeat("x", 32<<10)
		err := r.WritePlanned(context.Background(), netns.ID{}, podargs.Pod{}, "", hot)
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("got %v", err)
		}
		if got := ifNames(r.Record().Attachments); got != "eth0" {
			t.Errorf("the record in memory has %s", got)
		}
		r.Close()
		if got, _ := recordOf(t, l, "c1"); got != "eth0" {
			t.Errorf("the record on the disk has %s", got)
		}
	})
}

func TestRemove_FullDisk(t *testing.T) {
	t.Run("the last attachment needs no space", func(t *testing.T) {
		l, disk := openOnSmallDisk(t)
		r := lock(t, l, "c1")
		writePlanned(t, r, "eth0", "net1")
		r.Close()
		disk.fill()
		r = lock(t, l, "c1")
		err := r.Remove("net1") // the shorter record needs a file of its own
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("Remove on a full disk: %v", err)
		}
		const prefix = "write the record of the container c1 to the ledger: "
		if err := r.Unsaved(); !errors.Is(err, unix.ENOSPC) || !strings.HasPrefix(err.Error(), prefix) {
			t.Errorf("Unsaved, while net1 is in the file: %v", err)
		}
		must(t, r.Remove("eth0"))
		if err := r.Unsaved(); err != nil {
			t.Errorf("Unsaved, after all is removed: %v", err)
		}
		r.Close()
		if left := disk.files(); left != "" {
			t.Errorf("left: %s", left)
		}
	})
	t.Run("what did not reach the disk does with the next change", func(t *testing.T) {
		l, disk := openOnSmallDisk(t)
		r := lock(t, l, "c1")
		writePlanned(t, r, "eth0", "net1", "net2")
		disk.fill()
		if err := r.Remove("net1"); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("Remove on a full disk: %v", err)
		}
		must(t, os.Remove(disk.filler()))
		must(t, r.MarkFailed("net2", time.Now(), errors.New("no"), nil))
		r.Close()
		if got, _ := recordOf(t, l, "c1"); got != "eth0 net2" {
			t.Errorf("the record has %s", got)
		}
	})
}

// A DEL must find what there is to tear down, and say that the ledger could not be written.
func TestLock_ReadOnlyDisk(t *testing.T) {
	for name, c := range map[string]struct {
		prepare       func(path string) error
		read, corrupt bool
	}{
		"a record":         {func(string) error { return nil }, true, false},
		"a corrupt record": {func(path string) error { return os.Truncate(path, 7) }, false, true},
		"no record":        {os.Remove, false, false},
		"the lock file of an old version": {func(path string) error {
			return os.WriteFile(strings.TrimSuffix(path, "json")+"lock", nil, 0o600)
		}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, disk := openOnSmallDisk(t)
			path, _ := writeRecord(t, l)
			must(t, c.prepare(path))
			disk.makeReadOnly()

			r := lock(t, l, "c1")
			if err := tryLock(l, "c1"); !errors.Is(err, ErrBusy) {
				t.Errorf("another operation on the container: %v", err)
			}
			must(t, tryLock(l, "c2"))
			if _, ok := r.Record().Find("eth0"); ok != c.read || (r.Corrupt() != nil) != c.corrupt {
				t.Errorf("the record is %+v, corrupt: %v", r.Record(), r.Corrupt())
			}
			err := r.WritePlanned(context.Background(), testNetns, testPod, "eth0", attachments(t, "net2"))
			if c.corrupt && !errors.Is(err, r.Corrupt()) || !c.corrupt && !errors.Is(err, unix.EROFS) {
				t.Errorf("WritePlanned: %v", err)
			}
			if c.corrupt {
				if _, err := r.Quarantine(); !errors.Is(err, unix.EROFS) || !errors.Is(r.Unsaved(), unix.EROFS) {
					t.Errorf("Quarantine: %v, and unsaved: %v", err, r.Unsaved())
				}
			}
			if c.read {
				if err := r.Remove("eth0"); !errors.Is(err, unix.EROFS) || !errors.Is(r.Unsaved(), unix.EROFS) {
					t.Errorf("Remove: %v, and unsaved: %v", err, r.Unsaved())
				}
			}
			r.Close()
			must(t, tryLock(l, "c1"))
		})
	}
}

func TestProbe_Disk(t *testing.T) {
	t.Run("full", func(t *testing.T) {
		l, disk := openOnSmallDisk(t)
		must(t, l.Probe())
		disk.fill()
		const prefix = "write to the ledger's directory: "
		if err := l.Probe(); !errors.Is(err, unix.ENOSPC) || !strings.HasPrefix(err.Error(), prefix) {
			t.Errorf("got %v", err)
		}
		if left := disk.files(); left != "" {
			t.Errorf("left: %s", left)
		}
	})
	t.Run("read-only", func(t *testing.T) {
		l, disk := openOnSmallDisk(t)
		disk.makeReadOnly()
		if err := l.Probe(); !errors.Is(err, unix.EROFS) {
			t.Errorf("got %v", err)
		}
	})
}
