package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// verifiedBinary identifies two files whose contents were equal: the binary to install, and the
// node's. The binary has some 12 MB, which are compared again only after one of the files changed.
type verifiedBinary struct{ source, installed fs.FileInfo }

func (i *Installer) binaryPath() string { return filepath.Join(i.BinDir, "kactus") }

func (i *Installer) binary() (*Change, error) {
	source, err := os.Stat(i.Binary)
	if err != nil {
		return nil, fmt.Errorf("read the binary to install: %w", err)
	}
	installed, err := os.Lstat(i.binaryPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if unchanged(i.verified.source, source) && unchanged(i.verified.installed, installed) {
		return nil, nil
	}
	content, err := os.ReadFile(i.Binary)
	if err != nil {
		return nil, fmt.Errorf("read the binary to install: %w", err)
	}
	change, err := put(i.binaryPath(), content, 0o755)
	if change == nil && err == nil {
		i.verified = verifiedBinary{source, installed}
	}
	return change, err
}

// unchanged reports whether a file has the same inode, mode, size and modification time as before.
func unchanged(before, now fs.FileInfo) bool {
	return before != nil && now != nil && os.SameFile(before, now) &&
		before.Mode() == now.Mode() && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// nullPlugin is the name under which kactus is an IPAM plugin that assigns no address.
const nullPlugin = "null"

func (i *Installer) linkPath() string { return filepath.Join(i.BinDir, nullPlugin) }

// link links kactus under the name null, unless the node has another plugin of that name.
func (i *Installer) link() (*Change, error) {
	_, err := os.Lstat(i.linkPath())
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	do := func() error {
		if err := os.Symlink(filepath.Base(i.binaryPath()), i.linkPath()); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil // another installer was faster
	}
	return &Change{What: "link " + i.linkPath(), do: do}, nil
}

// linked reports whether the node's plugin null is kactus.
func (i *Installer) linked() bool {
	target, err := os.Readlink(i.linkPath())
	return err == nil && filepath.Base(target) == filepath.Base(i.binaryPath())
}
