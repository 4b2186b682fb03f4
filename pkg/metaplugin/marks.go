package metaplugin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Marks are notes on containers that a node may forget when it boots: they are in the directory of
// the locks, on a tmpfs. Where there is no mark, to look for one is a single system call.
//
// A mark is a symbolic link that leads nowhere: its target is the text, which is there at once or
// not at all.
type Marks struct{ dir, ledger string }

// NewMarks returns the marks on the containers of the ledger in ledgerDir, whose locks are in
// lockDir. Directories are created when they are first needed.
func NewMarks(ledgerDir, lockDir string) Marks {
	return Marks{dir: lockDir, ledger: filepath.Clean(ledgerDir)}
}

// kind is a kind of marks, and the name of their directory.
type kind string

// hotMark is on a container that a hot operation has locked. Its text is the interface.
const hotMark kind = "hot"

// mark is one mark as it was found.
type mark struct {
	text string
	made time.Time
}

func (m Marks) path(k kind, key ...string) string {
	sum := sha256.Sum256([]byte(m.ledger + "\x00" + strings.Join(key, "\x00")))
	return filepath.Join(m.dir, string(k), hex.EncodeToString(sum[:16]))
}

// set makes the mark, or makes it anew.
func (m Marks) set(k kind, text string, key ...string) error {
	path := m.path(k, key...)
	err := os.Symlink(text, path)
	switch {
	case errors.Is(err, fs.ErrExist):
		_ = os.Remove(path)
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
	default:
		return err
	}
	return os.Symlink(text, path)
}

func (m Marks) get(k kind, key ...string) (mark, bool) { return read(m.path(k, key...)) }

func read(path string) (mark, bool) {
	text, err := os.Readlink(path)
	if err != nil {
		return mark{}, false
	}
	info, err := os.Lstat(path)
	if err != nil {
		return mark{}, false
	}
	return mark{text: text, made: info.ModTime()}, true
}

func (m Marks) remove(k kind, key ...string) { _ = os.Remove(m.path(k, key...)) }

// prune removes the marks of that kind that are stale, and as many others as are over the limit.
func (m Marks) prune(k kind, limit int, stale func(mark) bool) {
	dir := filepath.Join(m.dir, string(k))
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	left := len(files)
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		if found, ok := read(path); left >= limit || ok && stale(found) {
			_ = os.Remove(path)
			left--
		}
	}
}

// markHot marks the container, which is locked, as one of which a hot operation changes that
// interface alone.
func (p *Plugin) markHot(containerID, ifName string) (unmark func()) {
	if err := p.Marks.set(hotMark, ifName, containerID); err != nil {
		p.Log.Warn("a CHECK of the Pod will wait for this operation", "cause", err)
	}
	return func() { p.Marks.remove(hotMark, containerID) }
}
