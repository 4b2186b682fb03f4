package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockPattern matches the installers' lock files. Earlier versions of kactus have them too, with
// lower numbers.
const lockPattern = "installer-*.lock"

// Leadership decides which of the installers on a node installs. During an update the old and the
// new one run at the same time, and the old one must not put its binary and netconf back.
//
// Each installer locks a file that is numbered with the time when its Pod was created. The highest
// number that is locked leads: a container of the old Pod that starts again gets its old place, and
// when the installer that leads dies, the kernel releases its lock.
type Leadership struct {
	installer *Installer
	number    int64
	lock      *os.File // nil, or locked
}

// Leadership returns the installer's Leadership, which is not acquired yet.
func (i *Installer) Leadership() *Leadership { return &Leadership{installer: i} }

// Acquire tries to become or remain the leader, and reports whether the installer leads. It must be
// called before each Install.
func (l *Leadership) Acquire() (bool, error) {
	if err := l.hold(l.installer.account.created); err != nil {
		return false, fmt.Errorf("lock %s: %w", l.path(l.installer.account.created), err)
	}
	leads := l.lock != nil
	paths, _ := filepath.Glob(filepath.Join(l.dir(), lockPattern))
	for _, path := range paths {
		var number int64
		if _, err := fmt.Sscanf(filepath.Base(path), "installer-%d.lock", &number); err != nil || number == l.number {
			continue
		}
		if isLocked(path) && number > l.number {
			leads = false
		}
	}
	return leads, nil
}

// Release gives up the leadership.
func (l *Leadership) Release() {
	_ = l.lock.Close()
	l.lock = nil
}

// hold locks the file with that number, unless another installer holds it.
func (l *Leadership) hold(number int64) (err error) {
	if l.number == number && isAt(l.lock, l.path(number)) {
		return nil
	}
	l.Release()
	l.number = number
	if err := os.MkdirAll(l.dir(), 0o700); err != nil {
		return err
	}
	l.lock, err = lock(l.path(number), os.O_CREATE)
	if l.lock != nil && !isAt(l.lock, l.path(number)) {
		l.Release() // the file was removed meanwhile; the next time will do
	}
	return err
}

func (l *Leadership) dir() string { return filepath.Dir(l.installer.kubeconfigPath()) }

func (l *Leadership) path(number int64) string {
	return filepath.Join(l.dir(), fmt.Sprintf("installer-%d.lock", number))
}

// isAt reports whether the file is the one at path: Uninstall and other installers remove files.
func isAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	current, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, current)
}

// isLocked reports whether an installer holds the lock, and removes the file if none does.
func isLocked(path string) bool {
	file, err := lock(path, 0)
	if file == nil {
		return err == nil
	}
	defer file.Close()
	_ = os.Remove(path)
	return false
}

// lock opens and locks a file. It returns nil if another process has locked it.
func lock(path string, flag int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, err
}
