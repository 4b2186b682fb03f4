package e2e

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// processEnded says whether the process whose ID is in that file has ended, be it that nobody waits for it.
func processEnded(t *testing.T, path string) bool {
	t.Helper()
	pid, err := os.ReadFile(path)
	succeed(t, err)
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func endProcess(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	succeed(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	succeed(t, err)
	succeed(t, syscall.Kill(pid, syscall.SIGKILL))
}
