// Package cnilog makes the log: lines of key=value with the time and the level's name, in a file that may be anywhere and whose
// trouble is never a verb's.
package cnilog

import (
	"io"
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
	// A FIFO that nobody reads, put where the file should be, must not hold a verb up.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		logger := slog.New(slog.NewTextHandler(otherwise, options))
		logger.Warn("the log cannot be opened", "cause", err)
		return logger, func() {}
	}
	return slog.New(slog.NewTextHandler(file, options)), func() { _ = file.Close() }
}

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
