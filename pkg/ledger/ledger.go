// Package ledger is kactus's durable record, on the node's disk, of the attachments that exist or may exist: one file a
// container, and a lock that serialises the verbs on one container.
package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy is why a lock was not to be had: another verb on the container runs, or a delegate that it left behind; or, for the plan of an
// ADD, a GC.
var ErrBusy = errors.New("another verb still runs")

// maxSize is the largest file that is read, in bytes. No plan is added to one of more than maxPlanned: the attachments of a container, each
// of which may be as large as it is allowed to be, come one after the other by hot ADDs, and every verb holds all of them in memory.
const (
	maxSize    = 16 << 20
	maxPlanned = 4 << 20
)

// Ledger is the folder of the records.
type Ledger struct{ dir string }

// Open uses the folder dir, and makes it (mode 0700) where it is not there. A folder of another user is an error; one that
// others may enter is closed to them.
func Open(dir string) (Ledger, error) {
	if err := makeDir(dir); err != nil {
		return Ledger{}, fmt.Errorf("make the ledger's folder: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return Ledger{}, fmt.Errorf("look at the ledger's folder %s: %w", dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return Ledger{}, fmt.Errorf("the ledger's folder %s is not a folder", dir)
	}
	if int(st.Uid) != os.Geteuid() {
		return Ledger{}, fmt.Errorf("the ledger's folder %s belongs to the user %d, not to %d", dir, st.Uid, os.Geteuid())
	}
	if st.Mode&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return Ledger{}, fmt.Errorf("close the ledger's folder to others: %w", err)
		}
	}
	return Ledger{dir: dir}, nil
}

// makeDir makes dir and what is missing above it, durably: a plan is not on the disk where its folder is not.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// Book is one container's record, locked. Its methods may be called from several goroutines, but for Close.
type Book struct {
	dir, id string
	lock    *os.File
	// frozen: the whole ledger is locked, in place of the container.
	frozen bool
	pen    pen
	// unread is why the container's file does not read; nil where it does, or where there is none.
	unread error
	// ill is why the disk is not fit for a plan; nil where it may be.
	ill error
}

// Lock waits until no other verb runs on the container, and reads its record. It fails with ErrBusy when ctx ends before. Where the
// disk does not take the lock's file, it freezes the ledger instead: nothing can be planned then, but what is there can be undone.
func (l Ledger) Lock(ctx context.Context, containerID string) (*Book, error) {
	b := &Book{dir: l.dir, id: containerID}
	lock, err := lockFile(ctx, b.path(".lock"))
	if diskFails(err) {
		b.frozen, b.ill = true, err
		lock, err = lockDir(ctx, l.dir, unix.LOCK_EX)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the container %s in the ledger: %w", containerID, err)
	}
	b.lock = lock
	if err := b.read(); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// LockFile is what a child process must inherit to keep the lock when kactus dies before it.
func (b *Book) LockFile() *os.File { return b.lock }

// Unread is why the container's file does not read; nil where it does, or there is none. The container may have attachments then, though
// the record here is empty: nothing can be planned.
func (b *Book) Unread() error { return b.unread }

// SetAside moves the file that does not read out of the way, for somebody to look at, and returns where it is. Nothing is known of the
// container from then on. Where it cannot be moved, Unsaved says so as well.
func (b *Book) SetAside() (string, error) {
	aside := b.path(".json." + time.Now().UTC().Format("20060102T150405.000000000") + ".corrupt")
	if err := os.Rename(b.path(".json"), aside); err != nil {
		b.pen.unsaved = fmt.Errorf("set the record that does not read aside: %w", err)
		return "", b.pen.unsaved
	}
	b.unread = nil
	return aside, nil
}

// Close releases the lock.
func (b *Book) Close() {
	if b.frozen {
		_ = unix.Flock(int(b.lock.Fd()), unix.LOCK_UN)
		_ = b.lock.Close()
		return
	}
	_ = os.Remove(b.path(".tmp")) // of a verb that was killed as it wrote
	unlockFile(b.lock, b.path(".lock"))
}

func (b *Book) path(suffix string) string { return filepath.Join(b.dir, b.id+suffix) }

func (b *Book) read() error {
	record, err := ReadRecord(b.dir, b.id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if transient(err) {
		return fmt.Errorf("read the record of the container %s: %w", b.id, err)
	}
	if err == nil {
		b.pen.record = record
		return nil
	}
	b.unread = fmt.Errorf("the record of the container %s in the ledger does not read: %w", b.id, err)
	return nil
}

// diskFails says whether the disk does not take what was to be written.
func diskFails(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EIO)
}

// transient says whether the node is out of something that it will have again: what the file holds is not to blame.
func transient(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// readFile reads a regular file of this user, and follows no symbolic link.
func readFile(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("it is not a regular file")
	}
	if int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("it belongs to the user %d", st.Uid)
	}
	if st.Size > maxSize {
		return nil, fmt.Errorf("it has %d bytes, of at most %d", st.Size, maxSize)
	}
	return io.ReadAll(io.LimitReader(file, maxSize))
}

// write replaces the record's file: a reader, and whoever comes after a crash or a loss of power, finds the old one
// or the new one, whole.
func (b *Book) write(r Record) error {
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetEscapeHTML(false) // what has six bytes for one is not worth it
	if err := enc.Encode(r); err != nil {
		return err
	}
	tmp := b.path(".tmp")
	if err := writeFile(tmp, bytes.TrimSpace(data.Bytes())); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	if err := os.Rename(tmp, b.path(".json")); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return nil
}

func writeFile(path string, data []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		file.Close()
		return err
	}
	if err := file.Sync(); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
