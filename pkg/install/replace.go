package install

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// put returns the Change that gives the file at path that content and mode, or nil if the file has
// both and is this user's: kactus rejects a kubeconfig of another user.
func put(path string, content []byte, mode fs.FileMode) (*Change, error) {
	info, err := os.Lstat(path)
	if err == nil && isOurFile(info, mode, int64(len(content))) {
		installed, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(installed, content) {
			return nil, nil
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	write := func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
	return &Change{What: "write " + path, do: func() error { return replace(path, mode, write) }}, nil
}

// isOurFile reports whether a file is there, is this user's, and has that mode and size.
func isOurFile(info fs.FileInfo, mode fs.FileMode, size int64) bool {
	return info != nil && info.Mode() == mode && isOurs(info) && info.Size() == size
}

func isOurs(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// temporary is the name of a file that is being written. Runtimes do not read it: they look for
// *.conf, *.conflist and *.json.
const temporary = ".kactus-*.tmp"

// replace puts a new file at path, with what write writes, durably and atomically: another process
// reads or executes either the old file or the new one.
func replace(path string, mode fs.FileMode, write func(io.Writer) error) error {
	dir := filepath.Dir(path)
	// Only the directories of the kubeconfig and the agents' netconf may be missing, which are for
	// root alone.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	removeAbandoned(dir)
	tmp, err := os.CreateTemp(dir, temporary)
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	for _, step := range []func() error{
		func() error { return write(tmp) },
		func() error { return tmp.Chmod(mode) },
		tmp.Sync,
		tmp.Close, // a file that is open for writing cannot be executed
		func() error { return os.Rename(tmp.Name(), path) },
		func() error { return syncDir(dir) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// removeAbandoned removes the temporary files of installers that were killed. It leaves recent
// ones, which a running installer may be writing.
func removeAbandoned(dir string) {
	paths, _ := filepath.Glob(filepath.Join(dir, temporary))
	for _, path := range paths {
		if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(path)
		}
	}
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
