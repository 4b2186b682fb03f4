package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// writeRecord writes a record of the container c1, and returns the path and the content of its
// file.
func writeRecord(t *testing.T, l Ledger) (path string, data []byte) {
	t.Helper()
	r := lock(t, l, "c1")
	defer r.Close()
	writePlanned(t, r, "eth0", "net1")
	must(t, r.MarkAttached(map[string]json.RawMessage{"eth0": json.RawMessage(`{"cniVersion":"1.0.0"}`)}))
	path = r.path(".json")
	data, err := os.ReadFile(path)
	must(t, err)
	return path, data
}

func TestClose_RemovesATemporaryFile(t *testing.T) {
	l := openLedger(t)
	tmp := filepath.Join(l.dir, "c1.tmp")
	target := filepath.Join(t.TempDir(), "target")
	for name, create := range map[string]func() error{
		"a file":    func() error { return os.WriteFile(tmp, []byte("half"), 0o600) },
		"a symlink": func() error { return os.Symlink(target, tmp) },
	} {
		t.Run(name, func(t *testing.T) {
			must(t, create())
			must(t, tryLock(l, "c1"))
			if exists(tmp) {
				t.Error("left by an operation that writes nothing")
			}
			must(t, create())
			r := lock(t, l, "c1")
			writePlanned(t, r, "eth0")
			must(t, r.Remove("eth0"))
			r.Close()
			if exists(tmp) || exists(target) {
				t.Error("left by an operation that writes, or followed")
			}
		})
	}
}

func TestDecode_TruncatedAnywhere(t *testing.T) {
	_, data := writeRecord(t, openLedger(t))
	for n := range data {
		if _, err := decode(data[:n], "c1"); err == nil {
			t.Fatalf("the first %d of %d bytes are a record", n, len(data))
		}
	}
	if _, err := decode(data, "c1"); err != nil {
		t.Errorf("the whole is not: %v", err)
	}
}

func TestLock_CorruptRecord(t *testing.T) {
	content := func(s string) func(string, []byte) error {
		return func(path string, _ []byte) error { return os.WriteFile(path, []byte(s), 0o600) }
	}
	for name, create := range map[string]func(path string, good []byte) error{
		"truncated": func(path string, good []byte) error {
			return os.WriteFile(path, good[:len(good)/2], 0o600)
		},
		"with a suffix": func(path string, good []byte) error {
			return os.WriteFile(path, append(good, "{}"...), 0o600)
		},
		"empty":                                  content(""),
		"not JSON":                               content("\x00\xff\x00"),
		"an array":                               content("[]"),
		"null":                                   content("null"),
		"format 2":                               content(`{"format":2,"containerID":"c1","attachments":[]}`),
		"format 0":                               content(`{"containerID":"c1","attachments":[]}`),
		"of another container":                   content(`{"format":1,"containerID":"c2","attachments":[]}`),
		"with attachments that are not an array": content(`{"format":1,"containerID":"c1","attachments":{}}`),
		"with a path as a plugin": content(`{"format":1,"containerID":"c1",
			"attachments":[{"device":"eth0","config":{"plugins":[{"type":"../x"}]}}]}`),
		"with a path as an orphan's plugin": content(`{"format":1,"containerID":"c1",
			"orphans":[{"device":"eth0","config":{"plugins":[{"type":"../x"}]}}]}`),
		"a directory": func(path string, _ []byte) error { return os.MkdirAll(filepath.Join(path, "in-it"), 0o700) },
		"a FIFO":      func(path string, _ []byte) error { return unix.Mkfifo(path, 0o600) },
		"a symlink to a good record": func(path string, good []byte) error {
			target := filepath.Join(filepath.Dir(path), "..", "target")
			if err := os.WriteFile(target, good, 0o600); err != nil {
				return err
			}
			return os.Symlink(target, path)
		},
		"a dangling symlink": func(path string, _ []byte) error { return os.Symlink("/nowhere/at/all", path) },
		"too large": func(path string, good []byte) error {
			spaces := strings.Repeat(" ", maxSize+1-len(good))
			return os.WriteFile(path, append(good, spaces...), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLedger(t)
			path, good := writeRecord(t, l)
			must(t, os.Remove(path))
			must(t, create(path, good))
			testCorrupt(t, l, path)
		})
	}
}

// testCorrupt checks that the record of the container c1, whose file is at path, is corrupt, stays
// until it is quarantined, and can then be written anew.
func testCorrupt(t *testing.T, l Ledger, path string) {
	t.Helper()
	before, err := os.Lstat(path)
	must(t, err)

	r := lock(t, l, "c1")
	const prefix = "the record of the container c1 in the ledger is corrupt: "
	if err := r.Corrupt(); err == nil || !strings.HasPrefix(err.Error(), prefix) {
		t.Fatalf("Corrupt: %v", err)
	}
	if record := r.Record(); len(record.Attachments)+len(record.Orphans) != 0 {
		t.Errorf("the record is %+v", record)
	}
	err = r.WritePlanned(context.Background(), testNetns, testPod, "eth0", attachments(t, "eth0"))
	if !errors.Is(err, r.Corrupt()) {
		t.Errorf("WritePlanned: %v, want %v", err, r.Corrupt())
	}
	if err := r.Remove("eth0"); !errors.Is(err, r.Corrupt()) || !errors.Is(r.Unsaved(), r.Corrupt()) {
		t.Errorf("Remove: %v, unsaved: %v, want %v", err, r.Unsaved(), r.Corrupt())
	}
	if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
		t.Fatalf("the file did not stay: %v, %v", after, err)
	}
	quarantined, err := r.Quarantine()
	must(t, err)
	found, _ := filepath.Glob(filepath.Join(l.dir, "c1.json.*.corrupt"))
	if len(found) != 1 || found[0] != quarantined {
		t.Errorf("quarantined: %v, want %s", found, quarantined)
	}
	if after, err := os.Lstat(quarantined); err != nil || !os.SameFile(before, after) {
		t.Errorf("another file was quarantined: %v, %v", after, err)
	}
	if r.Corrupt() != nil || r.Unsaved() != nil {
		t.Errorf("after Quarantine: corrupt: %v, unsaved: %v", r.Corrupt(), r.Unsaved())
	}
	writePlanned(t, r, "eth0")
	r.Close()
	if got, _ := recordOf(t, l, "c1"); got != "eth0" {
		t.Errorf("the next record has %q", got)
	}
}

func TestLock_RecordOfTheLargestSize(t *testing.T) {
	l := openLedger(t)
	path, good := writeRecord(t, l)
	must(t, os.WriteFile(path, append(good, strings.Repeat(" ", maxSize-len(good))...), 0o600))
	if got, _ := recordOf(t, l, "c1"); got != "eth0 net1" {
		t.Errorf("the record has %q", got)
	}
}

func TestLock_IDsThatLookLikeFileNames(t *testing.T) {
	l := openLedger(t)
	r := lock(t, l, "c1")
	defer r.Close()
	writePlanned(t, r, "eth0")
	for _, id := range []string{"c1.json", "c1.lock", "c1.tmp"} {
		other := lock(t, l, id)
		defer other.Close()
		if len(other.Record().Attachments) != 0 || other.Corrupt() != nil {
			t.Errorf("%s: %+v, %v", id, other.Record(), other.Corrupt())
		}
	}
}

// Neither a node that runs out of descriptors nor an error of the disk makes a record corrupt.
func TestTransient(t *testing.T) {
	for err, want := range map[error]bool{
		unix.EMFILE: true,
		unix.ENFILE: true,
		unix.ENOMEM: true,
		unix.EIO:    true,
		unix.EACCES: true,
		unix.ELOOP:  false,
	} {
		if got := transient(fmt.Errorf("open: %w", err)); got != want {
			t.Errorf("transient(%v) = %v, want %v", err, got, want)
		}
	}
	if transient(nil) {
		t.Error("transient(nil) = true")
	}
}
