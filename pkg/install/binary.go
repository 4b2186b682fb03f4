package install

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
	const mode = 0o755
	if isOurFile(installed, mode, source.Size()) {
		same, err := sameContent(i.Binary, i.binaryPath())
		if err != nil {
			return nil, fmt.Errorf("compare the binary to install with the node's: %w", err)
		}
		if same {
			i.verified = verifiedBinary{source, installed}
			return nil, nil
		}
	}
	do := func() error {
		return replace(i.binaryPath(), mode, func(w io.Writer) error { return copyFile(w, i.Binary) })
	}
	return &Change{What: "write " + i.binaryPath(), do: do}, nil
}

// sameContent reports whether two files have the same content. They are not read into memory, of
// which the installer's container has little, and kactus install may run there by hand besides.
func sameContent(one, other string) (bool, error) {
	a, err := os.Open(one)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := os.Open(other)
	if err != nil {
		return false, err
	}
	defer b.Close()
	const size = 64 << 10
	partOfA, partOfB := make([]byte, size), make([]byte, size)
	for {
		n, errA := io.ReadFull(a, partOfA)
		m, errB := io.ReadFull(b, partOfB)
		atEnd := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
		switch {
		case errA != nil && !atEnd(errA):
			return false, errA
		case errB != nil && !atEnd(errB):
			return false, errB
		case !bytes.Equal(partOfA[:n], partOfB[:m]):
			return false, nil
		case errA != nil || errB != nil:
			return atEnd(errA) && atEnd(errB), nil
		}
	}
}

func copyFile(to io.Writer, name string) error {
	from, err := os.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return err
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
