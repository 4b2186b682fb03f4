package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

// lockFile is the leader's lock. Earlier versions of kactus have one lock file for each installer,
// and the highest number leads: so they wait while this one is locked. Their own files match
// laterPattern if they started later, by a rollback, and lockPattern in any case.
const (
	lockFile     = "installer-999999999.lock"
	laterPattern = "installer-1?????????.lock"
	lockPattern  = "installer-*.lock"
)

// Leadership decides which of the installers on a node installs. During an update the old and the
// new one run at the same time, and the old one must not put its binary and token back.
//
// The leader holds a file lock, which the kernel releases when it dies. An installer whose service
// account token was issued after the one on the node takes over: it installs without the lock, and
// the leader releases the lock when it sees the later token. What counts is the token that an
// installer started with, since the kubelet keeps renewing the old one's too.
type Leadership struct {
	installer *Installer
	started   int64    // when the token that the installer started with was issued
	lock      *os.File // nil, or locked
	installed string   // the installer's token in the last pass, if it led
	yielded   bool     // in the last pass
}

// Leadership returns the installer's Leadership, which is not acquired yet.
func (i *Installer) Leadership() *Leadership {
	token, _ := i.token() // Install reports the error
	return &Leadership{installer: i, started: issuedAt(token)}
}

// Acquire tries to become or remain the leader, and reports whether the installer leads. It must be
// called before each Install.
func (l *Leadership) Acquire() (bool, error) {
	if l.yielded || l.earlierVersionLeads() {
		l.yielded = false // the newer installer has had the time to lock
		l.Release()
		return false, nil
	}
	held := l.held()
	if !held {
		if err := l.tryLock(); err != nil {
			return false, fmt.Errorf("lock %s: %w", l.path(lockFile), err)
		}
	}
	own, _ := l.installer.token()
	node, err := kube.Token(l.installer.kubeconfigPath())
	mine := node != "" && node == l.installed
	if held && !mine && issuedAt(node) > issuedAt(own) {
		l.yielded = true
		l.Release()
		return false, nil
	}
	missing := errors.Is(err, fs.ErrNotExist) // the holder of the lock is about to install it
	if l.lock != nil || mine || !missing && l.started > issuedAt(node) {
		l.installed = own
		return true, nil
	}
	l.installed = ""
	return false, nil
}

// Release gives up the leadership.
func (l *Leadership) Release() {
	_ = l.lock.Close()
	l.lock, l.installed = nil, ""
}

// held reports whether the lock is held, on the file that other installers lock: Uninstall removes
// the file.
func (l *Leadership) held() bool {
	locked, err := l.lock.Stat()
	if err != nil {
		return false
	}
	current, err := os.Lstat(l.path(lockFile))
	return err == nil && os.SameFile(locked, current)
}

func (l *Leadership) tryLock() (err error) {
	_ = l.lock.Close()
	if err := os.MkdirAll(l.path(""), 0o700); err != nil {
		return err
	}
	l.lock, err = lock(l.path(lockFile), os.O_CREATE)
	return err
}

// earlierVersionLeads reports whether an installer of an earlier version started later and runs.
func (l *Leadership) earlierVersionLeads() bool {
	paths, _ := filepath.Glob(l.path(laterPattern))
	for _, path := range paths {
		file, err := lock(path, 0)
		_ = file.Close()
		if file == nil && err == nil {
			return true
		}
	}
	return false
}

func (l *Leadership) path(name string) string {
	return filepath.Join(filepath.Dir(l.installer.kubeconfigPath()), name)
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
