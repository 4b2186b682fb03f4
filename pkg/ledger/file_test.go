package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

func TestFolderAndFilesAreClosedToOthersWhateverTheUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	l, dir := open(t)
	b := lock(t, l, "c1")
	defer b.Close()
	planned(t, b, "eth0")
	for path, want := range map[string]fs.FileMode{dir: 0o700 | fs.ModeDir, dir + "/c1.json": 0o600, dir + "/c1.lock": 0o600} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode() != want {
			t.Errorf("%s has the mode %v, want %v", filepath.Base(path), info.Mode(), want)
		}
	}
}

func TestAFolderThatOthersMayEnterIsClosed(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	_, err := Open(dir)
	must(t, err)
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("it has the mode %v", info.Mode())
	}
}

func TestAFolderOfAnotherUserIsRefused(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chown(dir, 4242, -1))
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "4242") {
		t.Errorf("got %v", err)
	}
}

func TestAFileInTheFoldersPlaceIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kactus")
	must(t, os.WriteFile(path, nil, 0o600))
	if _, err := Open(path); err == nil {
		t.Error("opened")
	}
}

func TestATemporaryFileThatAKilledVerbLeftGoes(t *testing.T) {
	l, dir := open(t)
	tmp := filepath.Join(dir, "c1.tmp")
	for name, plant := range map[string]func() error{
		"file":    func() error { return os.WriteFile(tmp, []byte("half"), 0o600) },
		"symlink": func() error { return os.Symlink(filepath.Join(dir, "..", "elsewhere"), tmp) },
	} {
		t.Run(name, func(t *testing.T) {
			must(t, plant())
			b := lock(t, l, "c1")
			b.Close()
			if exists(tmp) {
				t.Error("a verb that writes nothing leaves it")
			}
			must(t, plant())
			b = lock(t, l, "c1")
			planned(t, b, "eth0")
			must(t, b.Undone("eth0"))
			b.Close()
			if exists(tmp) || exists(filepath.Join(dir, "..", "elsewhere")) {
				t.Error("a verb that writes leaves it, or follows it")
			}
		})
	}
}

// recorded writes a record for the container c1 and is its file's path and content.
func recorded(t *testing.T, l Ledger, dir string) (string, []byte) {
	t.Helper()
	b := lock(t, l, "c1")
	planned(t, b, "eth0", "net1")
	must(t, b.Attached(map[string]json.RawMessage{"eth0": json.RawMessage(`{"cniVersion":"1.0.0"}`)}))
	b.Close()
	path := filepath.Join(dir, "c1.json")
	data, err := os.ReadFile(path)
	must(t, err)
	return path, data
}

func TestARecordTruncatedAnywhereIsNotRead(t *testing.T) {
	l, dir := open(t)
	_, data := recorded(t, l, dir)
	for n := range data {
		if _, err := decode(data[:n], "c1"); err == nil {
			t.Fatalf("the first %d of %d bytes read as a record", n, len(data))
		}
	}
	if _, err := decode(data, "c1"); err != nil {
		t.Errorf("and the whole does not: %v", err)
	}
}

func TestARecordThatDoesNotReadStaysUntilItIsSetAside(t *testing.T) {
	write := func(content string) func(path string, good []byte) error {
		return func(path string, _ []byte) error { return os.WriteFile(path, []byte(content), 0o600) }
	}
	cases := map[string]func(path string, good []byte) error{
		"truncated":         func(path string, good []byte) error { return os.WriteFile(path, good[:len(good)/2], 0o600) },
		"followed by more":  func(path string, good []byte) error { return os.WriteFile(path, append(good, "{}"...), 0o600) },
		"empty":             write(""),
		"not JSON":          write("\x00\xff\x00"),
		"not an object":     write("[]"),
		"null":              write("null"),
		"of another format": write(`{"format":2,"containerID":"c1","attachments":[]}`),
		"of no format":      write(`{"containerID":"c1","attachments":[]}`),
		"another's":         write(`{"format":1,"containerID":"c2","attachments":[]}`),
		"with a bad plugin": write(`{"format":1,"containerID":"c1","attachments":[{"device":"eth0","config":{"plugins":[{"type":"../x"}]}}]}`),
		"a folder":          func(path string, _ []byte) error { return os.MkdirAll(filepath.Join(path, "in-it"), 0o700) },
		"a FIFO":            func(path string, _ []byte) error { return unix.Mkfifo(path, 0o600) },
		"a symlink to a good record": func(path string, good []byte) error {
			target := filepath.Join(filepath.Dir(path), "..", "target")
			if err := os.WriteFile(target, good, 0o600); err != nil {
				return err
			}
			return os.Symlink(target, path)
		},
		"a dangling symlink": func(path string, _ []byte) error { return os.Symlink("/nowhere/at/all", path) },
		"too large": func(path string, _ []byte) error {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(path, maxSize+1)
		},
		"another user's": func(path string, good []byte) error {
			if err := os.WriteFile(path, good, 0o600); err != nil {
				return err
			}
			return os.Chown(path, 4242, -1)
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			l, dir := open(t)
			path, good := recorded(t, l, dir)
			must(t, os.Remove(path))
			must(t, spoil(path, good))
			before, err := os.Lstat(path)
			must(t, err)

			b := lock(t, l, "c1")
			if r := b.Record(); len(r.Attachments)+len(r.Orphans) != 0 {
				t.Errorf("it was read: %+v", r)
			}
			if err := b.Plan(context.Background(), Netns{}, podargs.Pod{}, "eth0", []Entry{entry(t, "eth0")}); b.Unread() == nil || !errors.Is(err, b.Unread()) {
				t.Errorf("Plan says %v, not %v", err, b.Unread())
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("the file did not stay: %v, %v", after, err)
			}
			aside, err := b.SetAside()
			must(t, err)
			if found, _ := filepath.Glob(filepath.Join(dir, "c1.json.*.corrupt")); len(found) != 1 || found[0] != aside {
				t.Errorf("set aside: %v; SetAside says %s", found, aside)
			}
			if after, err := os.Lstat(aside); err != nil || !os.SameFile(before, after) {
				t.Errorf("what is set aside is not what was there: %v, %v", after, err)
			}
			planned(t, b, "eth0")
			b.Close()
			b = lock(t, l, "c1")
			defer b.Close()
			if b.Unread() != nil || devicesOf(b.Record().Attachments) != "eth0 " {
				t.Errorf("the next record does not read: %v", b.Unread())
			}
		})
	}
}

func TestAContainerOfOnesOwnIsNotReadFromAnothersFile(t *testing.T) {
	l, _ := open(t)
	a := lock(t, l, "c1")
	defer a.Close()
	planned(t, a, "eth0")
	b := lock(t, l, "c1.json") // its files have names that the other's have not
	defer b.Close()
	if len(b.Record().Attachments) != 0 || b.Unread() != nil {
		t.Errorf("%+v, %v", b.Record(), b.Unread())
	}
}
