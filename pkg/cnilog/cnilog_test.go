package cnilog

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// logEachLevel writes a line of each level.
func logEachLevel(log *slog.Logger) {
	log.Error("an error")
	log.Warn("a warning")
	log.Info("a fact")
	log.Debug("a detail")
}

func TestOpen_LineFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kactus.log")
	log, closeLog := Open(netconf.LevelInfo, path, nil)
	log.With("operation", "ADD", "containerID", "c1", "pod", "tenant/app").
		Info("begin", "ifName", "eth0", "cause", "two words\nand a line")
	closeLog()
	want := regexp.MustCompile(`^time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\S+ level=INFO msg=begin ` +
		`operation=ADD containerID=c1 pod=tenant/app ifName=eth0 cause="two words\\nand a line"\n$`)
	if got := readFile(t, path); !want.MatchString(got) {
		t.Errorf("got %q", got)
	}
}

func TestOpen_Levels(t *testing.T) {
	for _, tt := range []struct {
		name  string
		level netconf.Level
		want  []string
	}{
		{"error", netconf.LevelError, []string{"ERROR", "WARN"}},
		{"info", netconf.LevelInfo, []string{"ERROR", "WARN", "INFO"}},
		{"debug", netconf.LevelDebug, []string{"ERROR", "WARN", "INFO", "DEBUG"}},
		{"above debug", netconf.LevelDebug + 1, []string{"ERROR", "WARN", "INFO", "DEBUG"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kactus.log")
			log, closeLog := Open(tt.level, path, nil)
			logEachLevel(log)
			closeLog()
			lines := strings.Split(strings.TrimSpace(readFile(t, path)), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("got %d lines, want %d: %q", len(lines), len(tt.want), lines)
			}
			for i, line := range lines {
				if !strings.Contains(line, " level="+tt.want[i]+" ") {
					t.Errorf("got %q, want the level %s", line, tt.want[i])
				}
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "kactus.log")
		var fallback bytes.Buffer
		log, closeLog := Open(netconf.LevelNone, path, &fallback)
		logEachLevel(log)
		closeLog()
		if _, err := os.Stat(path); err == nil || fallback.Len() > 0 {
			t.Errorf("got a file or %q, want nothing", &fallback)
		}
	})
}

func TestOpen_FileMode(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	t.Run("a new file has 0600 under any umask", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "kactus.log")
		_, closeLog := Open(netconf.LevelInfo, path, nil)
		defer closeLog()
		if got := stat(t, path).Mode(); got != 0o600 {
			t.Errorf("got %v", got)
		}
	})
	for before, want := range map[os.FileMode]os.FileMode{
		0o666: 0o640, 0o644: 0o640, 0o620: 0o600, 0o640: 0o640, 0o600: 0o600,
	} {
		t.Run("an existing file has "+before.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kactus.log")
			if err := os.WriteFile(path, nil, before); err != nil {
				t.Fatal(err)
			}
			log, closeLog := Open(netconf.LevelInfo, path, nil)
			log.Info("begin")
			closeLog()
			if info := stat(t, path); info.Mode() != want || info.Size() == 0 {
				t.Errorf("got %v with %d bytes, want %v and a line", info.Mode(), info.Size(), want)
			}
		})
	}
}

func TestOpen_AppendsLinesOfConcurrentProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kactus.log")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	const operations, lines = 8, 50
	for range operations { // goroutines stand for processes: each has a descriptor of its own
		group.Go(func() {
			log, closeLog := Open(netconf.LevelInfo, path, nil)
			defer closeLog()
			for range lines {
				log.Info("a line")
			}
		})
	}
	group.Wait()
	got := readFile(t, path)
	n := strings.Count(got, "level=INFO msg=\"a line\"\n")
	if !strings.HasPrefix(got, "before\n") || n != operations*lines {
		t.Errorf("got %d lines, want %d after the first", n, operations*lines)
	}
}

func TestOpen_WithoutAPathUsesTheFallback(t *testing.T) {
	var fallback bytes.Buffer
	log, closeLog := Open(netconf.LevelError, "", &fallback)
	logEachLevel(log)
	closeLog()
	got := fallback.String()
	if !strings.Contains(got, "level=ERROR msg=\"an error\"") || strings.Contains(got, "a fact") {
		t.Errorf("got %q", got)
	}
}

func TestOpen_FallsBackWithAWarning(t *testing.T) {
	dir := t.TempDir()
	fifo, link, target := filepath.Join(dir, "fifo"), filepath.Join(dir, "link"), filepath.Join(dir, "target")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a directory that is missing": filepath.Join(dir, "missing", "kactus.log"),
		"a directory":                 dir,
		"a FIFO without a reader":     fifo,
		"a symbolic link":             link,
	} {
		t.Run(name, func(t *testing.T) {
			var fallback bytes.Buffer
			log, closeLog := Open(netconf.LevelInfo, path, &fallback)
			defer closeLog()
			log.Info("begin")
			got := fallback.String()
			for _, want := range []string{"cannot open the log", "open " + path, "msg=begin"} {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
		})
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the target of the symbolic link was created")
	}
}

func TestOpen_IgnoresAFullDisk(t *testing.T) {
	var fallback bytes.Buffer
	log, closeLog := Open(netconf.LevelDebug, "/dev/full", &fallback)
	defer closeLog()
	logEachLevel(log)
	if fallback.Len() > 0 {
		t.Errorf("the fallback has %q", &fallback)
	}
}

// A FIFO that is full loses lines, and the operation goes on.
func TestOpen_DoesNotBlockOnAFullFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(reader)
	log, closeLog := Open(netconf.LevelInfo, path, nil)
	defer closeLog()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 64 { // 256 KiB; a FIFO holds 64 KiB
			log.Info(strings.Repeat("x", 4096))
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("still blocked after 10 s")
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
