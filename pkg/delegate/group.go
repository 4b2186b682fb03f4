package delegate

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// EndGroup ends the processes of a group, such as one of a plugin that a killed kactus left behind:
// with SIGTERM, and after a grace period of two seconds with SIGKILL. It returns once they have
// ended, or after twice that time, as with a process that waits for a disk.
func EndGroup(group int) {
	if signalGroup(group, syscall.SIGTERM); !awaitGroupEnd(group, defaultGrace) {
		killGroup(group, defaultGrace)
	}
}

// killGroup kills the processes of a group, and waits until they have ended: what one still does
// must not mix with what comes next.
func killGroup(group int, limit time.Duration) {
	signalGroup(group, syscall.SIGKILL)
	awaitGroupEnd(group, limit)
}

// signalGroup ignores the error: there may be no process left.
func signalGroup(group int, signal syscall.Signal) { _ = syscall.Kill(-group, signal) }

// awaitGroupEnd reports whether the processes of a group ended within the limit.
func awaitGroupEnd(group int, limit time.Duration) bool {
	const pause = 2 * time.Millisecond
	for deadline := time.Now().Add(limit); ; time.Sleep(pause) {
		if syscall.Kill(-group, 0) != nil || !runsIn(group) {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// runsIn reports whether a process of the group runs. A zombie does not: nobody may wait for it.
func runsIn(group int) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// The fields behind the name, which may hold anything: state, parent and group.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 3 || string(fields[0]) == "Z" || string(fields[0]) == "X" {
			continue
		}
		if string(fields[2]) == strconv.Itoa(group) {
			return true
		}
	}
	return false
}
