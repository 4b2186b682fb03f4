// Package cnilog writes the log: one line of key=value pairs for each record, with the time and the
// level. A log that cannot be written never makes an operation fail or wait.
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

// Open returns a logger of the records that level includes, and a function that closes the log. The
// logger appends to the file at path, which Open creates with mode 0600. Where path is empty or
// cannot be opened, the logger writes to fallback, in the second case with a warning that says why.
func Open(level netconf.Level, path string, fallback io.Writer) (*slog.Logger, func()) {
	if level == netconf.LevelNone {
		return slog.New(slog.DiscardHandler), func() {}
	}
	options := &slog.HandlerOptions{Level: threshold(level)}
	if path == "" {
		return slog.New(slog.NewTextHandler(fallback, options)), func() {}
	}
	fd, err := openFile(path)
	if err != nil {
		logger := slog.New(slog.NewTextHandler(fallback, options))
		logger.Warn("cannot open the log", "cause", &fs.PathError{Op: "open", Path: path, Err: err})
		return logger, func() {}
	}
	return slog.New(slog.NewTextHandler(descriptor(fd), options)), func() { _ = unix.Close(fd) }
}

// openFile opens the file without blocking: the path may name something else than a regular file,
// such as a FIFO without a reader.
func openFile(path string) (fd int, err error) {
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if fd, err = unix.Open(path, flags, 0o600); err != nil {
		return -1, err
	}
	if err := restrict(fd); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// restrict takes all rights to the file from others, and the right to write it from its group, in
// case something else created the file, such as a log rotation. Log collectors may read it as its
// group. A file of another user is an error: that user can read it whatever its mode is.
func restrict(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFCHR { // a character device, such as a terminal
		return nil
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("owned by user %d, not by %d", st.Uid, os.Geteuid())
	}
	const forbidden = 0o027
	if st.Mode&forbidden != 0 {
		return unix.Fchmod(fd, st.Mode&0o7777&^forbidden)
	}
	return nil
}

// A descriptor writes to a file without blocking, unlike an os.File: a line that would have to wait
// is lost.
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
