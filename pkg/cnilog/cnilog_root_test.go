//go:build root

package cnilog

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

func TestOpen_DoesNotWriteAFileOfAnotherUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kactus.log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 4242, -1); err != nil {
		t.Fatal(err)
	}
	var fallback bytes.Buffer
	log, closeLog := Open(netconf.LevelInfo, path, &fallback)
	log.Info("begin")
	closeLog()
	if got := readFile(t, path); got != "" {
		t.Errorf("the file has %q", got)
	}
	got := fallback.String()
	if !strings.Contains(got, "owned by user 4242, not by 0") || !strings.Contains(got, "msg=begin") {
		t.Errorf("the fallback has %q", got)
	}
}
