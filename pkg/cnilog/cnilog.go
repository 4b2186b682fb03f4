// Package cnilog makes the log: lines of key=value with the time and the level's name, in a file that may be anywhere and whose
// trouble is never a verb's.
package cnilog

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// Open makes a logger of what level allows. It appends to the file at path, made with mode 0600, and
// writes to otherwise where path is empty or cannot be opened. The returned function closes the file.
func Open(level netconf.Level, path string, otherwise io.Writer) (*slog.Logger, func()) {
	if level == netconf.LevelNone {
		return slog.New(slog.DiscardHandler), func() {}
	}
	options := &slog.HandlerOptions{Level: threshold(level)}
	if path == "" {
		return slog.New(slog.NewTextHandler(otherwise, options)), func() {}
	}
	// Something else may be where the file should be: what cannot be written at once, such as a FIFO that nobody reads, must not hold a verb up.
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err == nil {
		if err = closeToOthers(fd); err != nil {
			_ = unix.Close(fd)
		}
	}
	if err != nil {
		logger := slog.New(slog.NewTextHandler(otherwise, options))
		logger.Warn("the log cannot be opened", "cause", &fs.PathError{Op: "open", Path: path, Err: err})
		return logger, func() {}
	}
	return slog.New(slog.NewTextHandler(descriptor(fd), options)), func() { _ = unix.Close(fd) }
}

// closeToOthers sees to it that others can neither read nor write the log, be it that a rotation made the file: but its group may
// read it, as those do that collect logs. A file of another user is refused: whoever planted it can read it.
func closeToOthers(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFCHR { // a device, such as a terminal
		return nil
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to the user %d", st.Uid)
	}
	const others = 0o027
	if st.Mode&others != 0 {
		return unix.Fchmod(fd, st.Mode&0o7777&^others)
	}
	return nil
}

// descriptor is a file that takes a line or, where it would have to wait, loses it. An os.File waits.
type descriptor int

func (d descriptor) Write(line []byte) (int, error) { return unix.Write(int(d), line) }

func threshold(level netconf.Level) slog.Level {
	switch {
	case level >= netconf.LevelDebug:
		return slog.LevelDebug
	case level == netconf.LevelInfo:
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}
