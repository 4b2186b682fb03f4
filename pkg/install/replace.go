package install

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// temporary is what files are called until they are whole. Runtimes read the files of some endings in the folder of netconfs: this is none of them.
const temporary = ".kactus-*.tmp"

// replace gives path a new file, durably, in one step: a program that runs goes on with the old one, and none is ever half written.
func replace(path string, content []byte, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	// The folder is there, but for the kubeconfig's, which is for root alone.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := removeAbandoned(dir); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, temporary)
	if err != nil {
		return err
	}
	if err := fill(tmp, content, mode); err != nil {
		_ = os.Remove(tmp.Name())
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		_ = os.Remove(tmp.Name())
		return err
	}
	return syncDir(dir)
}

// removeAbandoned removes what an installer that was killed half way left: younger files may be those of one that runs.
func removeAbandoned(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, temporary))
	if err != nil {
		return err
	}
	for _, path := range paths {
		if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(path)
		}
	}
	return nil
}

func fill(file *os.File, content []byte, mode fs.FileMode) error {
	_, err := file.Write(content)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	return err
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
