package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpen_CreatesWhatIsMissing(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	l := openLedger(t)
	r := lock(t, l, "c1")
	defer r.Close()
	writePlanned(t, r, "eth0")
	for path, want := range map[string]fs.FileMode{
		l.dir:           0o700 | fs.ModeDir,
		l.lockDir:       0o700 | fs.ModeDir,
		r.path(".json"): 0o600,
		l.lockPath():    0o600,
	} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode() != want {
			t.Errorf("%s has the mode %v, want %v", path, info.Mode(), want)
		}
	}
}

func TestOpen_ClosesADirectoryToOthers(t *testing.T) {
	for _, mode := range []fs.FileMode{0o755, 0o701, 0o710} {
		dir, lockDir := t.TempDir(), t.TempDir()
		must(t, os.Chmod(dir, mode))
		must(t, os.Chmod(lockDir, mode))
		_, err := Open(dir, lockDir)
		must(t, err)
		for _, path := range []string{dir, lockDir} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%v became %v, %v", mode, info.Mode(), err)
			}
		}
	}
}

// A directory of others must keep its mode, and must not get the ledger's files.
func TestOpen_ADirectoryThatOthersUse(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, tt := range map[string]struct {
		mode  fs.FileMode
		files []string // a directory, if the name ends in a slash
		want  string   // in the error; empty: the directory is closed
	}{
		"like /tmp":                      {0o777 | fs.ModeSticky, nil, "mode 1777"},
		"like /tmp, for one group":       {0o770 | fs.ModeSticky, nil, "mode 1770"},
		"like /var/lib":                  {0o755, []string{"dpkg/"}, "dpkg"},
		"with a file":                    {0o755, []string{"c1.json", "other"}, "other"},
		"with a hidden file":             {0o750, []string{".other"}, ".other"},
		"with a directory like a record": {0o755, []string{"c1.json/"}, "c1.json"},
		"with a name of 64 letters":      {0o755, []string{id[:63] + "g"}, id[:63] + "g"},
		"with records":                   {0o755, []string{"c1.json", "c1.tmp", "c1.json.1.corrupt", "c1.lock"}, ""},
		"with the lock and the probe":    {0o701, []string{"lock", ".probe"}, ""},
		"with the predecessor's records": {0o755, []string{id}, ""},
		"a file system of its own":       {0o755, []string{"lost+found/"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir, own := filepath.Join(t.TempDir(), "shared"), t.TempDir()
			must(t, os.Mkdir(dir, 0o700))
			for _, file := range tt.files {
				if name, isDir := strings.CutSuffix(file, "/"); isDir {
					must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
				} else {
					must(t, os.WriteFile(filepath.Join(dir, file), nil, 0o600))
				}
			}
			must(t, os.Chmod(dir, tt.mode))
			before, err := os.Stat(dir)
			must(t, err)
			for _, dirs := range [][]string{{own, dir}, {dir, own}} {
				_, err := Open(dirs[0], dirs[1])
				after, statErr := os.Stat(dir)
				must(t, statErr)
				switch {
				case tt.want == "" && (err != nil || after.Mode().Perm() != 0o700):
					t.Errorf("got the mode %v, %v", after.Mode(), err)
				case tt.want != "" && (err == nil || !strings.Contains(err.Error(), dir) ||
					!strings.Contains(err.Error(), tt.want)):
					t.Errorf("got %v, want an error with %q", err, tt.want)
				case tt.want != "" && after.Mode() != before.Mode():
					t.Errorf("the mode became %v", after.Mode())
				}
			}
		})
	}
}

func TestOpen_FileInItsPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for name, c := range map[string]struct{ dir, lockDir, want string }{
		"the directory":              {file, t.TempDir(), "open the ledger's directory: "},
		"a parent of the directory":  {file + "/kactus", t.TempDir(), "open the ledger's directory: "},
		"the directory of the locks": {t.TempDir(), file, "open the directory of the ledger's locks: "},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Open(c.dir, c.lockDir)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v, %v", l, err)
			}
		})
	}
}

func TestAt_NeedsNoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	l := At(dir, filepath.Join(dir, "locks"))
	if records, corrupt, err := readAll(l); err != nil || len(records)+len(corrupt) != 0 {
		t.Errorf("got %+v, %+v, %v", records, corrupt, err)
	}
	if l.Busy("c1") {
		t.Error("busy")
	}
	if exists(dir) {
		t.Error("the directory was created")
	}
}

func TestProbe(t *testing.T) {
	t.Run("a directory that takes a record", func(t *testing.T) {
		l := openLedger(t)
		must(t, l.Probe())
		if left := fileNames(t, l.dir); left != "" {
			t.Errorf("left: %s", left)
		}
	})
	t.Run("a directory that is missing", func(t *testing.T) {
		err := At("/no/such/directory", "").Probe()
		if err == nil || !strings.Contains(err.Error(), "/no/such/directory") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a symlink in the place of its file", func(t *testing.T) {
		l := openLedger(t)
		target := filepath.Join(t.TempDir(), "target")
		must(t, os.Symlink(target, filepath.Join(l.dir, ".probe")))
		if err := l.Probe(); err == nil || exists(target) {
			t.Errorf("got %v, and the target was created: %v", err, exists(target))
		}
	})
}

func TestLockedRecord_KeepsAsManyOrphansAsAttachments(t *testing.T) {
	l := openLedger(t)
	r := lock(t, l, "c1")
	writePlanned(t, r, "eth0", "net1")
	must(t, r.Orphan("net1", testTime, errors.New("gone"), nil))
	r.Close()
	record, err := l.ReadRecord("c1")
	must(t, err)
	if ifNames(record.Attachments) != "eth0" || ifNames(record.Orphans) != "net1" {
		t.Errorf("got %+v", record)
	}
}

func TestLockedRecord_ReportsWhatCannotBeRemoved(t *testing.T) {
	for name, suffix := range map[string]string{"the record": ".json", "the predecessor's record": ""} {
		t.Run(name, func(t *testing.T) {
			r := lock(t, openLedger(t), "c1")
			defer r.Close()
			writePlanned(t, r, "eth0")
			_ = os.Remove(r.path(suffix))
			must(t, os.MkdirAll(filepath.Join(r.path(suffix), "sub"), 0o700))
			if err := r.Remove("eth0"); err == nil || r.Unsaved() == nil {
				t.Errorf("got %v, then %v", err, r.Unsaved())
			}
		})
	}
}

func TestReplaceFile_LeavesNoTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	path, tmp := filepath.Join(dir, "path"), filepath.Join(dir, "tmp")
	must(t, os.MkdirAll(filepath.Join(path, "sub"), 0o700))
	if err := replaceFile(path, tmp, []byte("x")); err == nil {
		t.Error("replaced a directory")
	}
	if left := fileNames(t, dir); left != "path" {
		t.Errorf("left: %s", left)
	}
}
