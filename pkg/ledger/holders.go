package ledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Holder is a process that holds a container's lock.
type Holder struct {
	PID int
	// Group is the process group. Each plugin is started in one of its own.
	Group int
	// Age is the time since the process was started.
	Age time.Duration
	// Operation means that the process is a kactus, whose operation has not ended.
	Operation bool
	// Daemon means that a plugin started the process in a session of its own, to outlive the
	// operation.
	Daemon bool
	// fd is the descriptor of the lock file.
	fd int
}

// Holders returns the processes that hold the container's lock: a kactus and its plugins, or, after
// a kactus was killed, plugins that it left running, and what they started. The kernel tells, so
// that neither the number of a process that was used again nor a lost file misleads. Processes that
// this one may not look at are missing.
func (l Ledger) Holders(containerID string) []Holder {
	offset := strconv.FormatInt(l.lockOffset(containerID), 10)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var holders []Holder
	for _, dir := range dirs {
		if h, ok := holderIn(dir, offset); ok {
			holders = append(holders, h)
		}
	}
	return holders
}

// holderIn returns the process that has the directory dir in /proc, if it holds the lock on the
// byte at that offset.
func holderIn(dir, offset string) (Holder, bool) {
	var h Holder
	found := false
	links, _ := os.ReadDir(filepath.Join(dir, "fd"))
	for _, link := range links {
		if target, err := os.Readlink(filepath.Join(dir, "fd", link.Name())); err != nil ||
			filepath.Base(target) != lockFileName {
			continue
		}
		info, err := os.ReadFile(filepath.Join(dir, "fdinfo", link.Name()))
		if err != nil || !hasLock(info, offset) {
			continue
		}
		found = true
		h.fd, _ = strconv.Atoi(link.Name())
		h.Operation = h.Operation || closesOnExec(info)
	}
	if !found {
		return h, false
	}
	h.PID, _ = strconv.Atoi(filepath.Base(dir))
	err := h.readStat(dir)
	return h, err == nil
}

// hasLock reports whether the open file description has the lock of an operation on the byte at
// that offset, by the lines of proc_pid_fdinfo(5).
func hasLock(info []byte, offset string) bool {
	for lines := bufio.NewScanner(bytes.NewReader(info)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 9 && fields[0] == "lock:" && fields[2] == "OFDLCK" && fields[7] == offset {
			return true
		}
	}
	return false
}

// closesOnExec reports whether the descriptor is that of the kactus that opened the lock file: a
// plugin inherits one that stays open when a program is executed.
func closesOnExec(info []byte) bool {
	for lines := bufio.NewScanner(bytes.NewReader(info)); lines.Scan(); {
		if octal, ok := strings.CutPrefix(lines.Text(), "flags:"); ok {
			flags, err := strconv.ParseUint(strings.TrimSpace(octal), 8, 64)
			return err == nil && flags&unix.O_CLOEXEC != 0
		}
	}
	return false
}

// readStat reads what proc_pid_stat(5) says of the process.
func (h *Holder) readStat(dir string) error {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return err
	}
	// The name, in parentheses, may hold anything. Behind it: state, parent, group, session, …
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const group, session, start, ticksPerSecond = 2, 3, 19, 100
	if len(fields) <= start {
		return errors.New("too few fields")
	}
	ticks, err := strconv.ParseInt(fields[start], 10, 64)
	if err != nil {
		return err
	}
	var sinceBoot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &sinceBoot); err != nil {
		return err
	}
	h.Age = time.Duration(sinceBoot.Nano()) - time.Duration(ticks)*time.Second/ticksPerSecond
	h.Group, err = strconv.Atoi(fields[group])
	// kactus starts a plugin in a new group, but not in a new session.
	h.Daemon = !h.Operation && fields[group] == fields[session]
	return err
}

// ReleaseFromDaemons takes the container's lock away from the daemons that a plugin of a killed
// kactus started, if nobody else holds it: the operation is over. The error says which process
// keeps the lock, and why.
func (l Ledger) ReleaseFromDaemons(containerID string) error {
	holders := l.Holders(containerID)
	if len(holders) == 0 || slices.ContainsFunc(holders, func(h Holder) bool { return !h.Daemon }) {
		return nil
	}
	return l.release(holders[0], containerID)
}

// release unlocks the container through the holder's descriptor, for all that share the lock.
func (l Ledger) release(h Holder, containerID string) error {
	failed := func(err error) error {
		return fmt.Errorf("take the lock of the container %s from the process %d: %w", containerID, h.PID, err)
	}
	process, err := unix.PidfdOpen(h.PID, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(process)
	fd, err := unix.PidfdGetfd(process, h.fd, 0)
	if err != nil {
		return failed(err)
	}
	lock := containerLock{file: os.NewFile(uintptr(fd), lockFileName), offset: l.lockOffset(containerID)}
	lock.release()
	return nil
}
