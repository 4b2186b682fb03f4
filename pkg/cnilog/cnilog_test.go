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

// say writes a line of each level.
func say(log *slog.Logger) {
	log.Error("an error")
	log.Warn("a warning")
	log.Info("a fact")
	log.Debug("a detail")
}

func TestALineHasTheTimeTheLevelsNameAndTheFields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kactus.log")
	log, closeLog := Open(netconf.LevelInfo, path, nil)
	log.With("verb", "ADD", "containerID", "c1", "pod", "tenant/app").Info("begin", "device", "eth0", "cause", "two words\nand a line")
	closeLog()
	want := regexp.MustCompile(`^time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\S+ level=INFO msg=begin verb=ADD containerID=c1 pod=tenant/app device=eth0 cause="two words\\nand a line"\n$`)
	if got := read(t, path); !want.MatchString(got) {
		t.Errorf("got %q", got)
	}
}

func TestALevelHoldsWhatTheOnesBeforeItHold(t *testing.T) {
	for level, want := range map[netconf.Level][]string{
		netconf.LevelNone:      nil,
		netconf.LevelError:     {"ERROR", "WARN"},
		netconf.LevelInfo:      {"ERROR", "WARN", "INFO"},
		netconf.LevelDebug:     {"ERROR", "WARN", "INFO", "DEBUG"},
		netconf.LevelDebug + 1: {"ERROR", "WARN", "INFO", "DEBUG"},
	} {
		path := filepath.Join(t.TempDir(), "kactus.log")
		var otherwise bytes.Buffer
		log, closeLog := Open(level, path, &otherwise)
		say(log)
		closeLog()
		if level == netconf.LevelNone {
			if _, err := os.Stat(path); err == nil || otherwise.Len() > 0 {
				t.Errorf("a log of nothing was written")
			}
			continue
		}
		lines := strings.Split(strings.TrimSpace(read(t, path)), "\n")
		if len(lines) != len(want) {
			t.Errorf("level %d has %d lines: %v", level, len(lines), lines)
			continue
		}
		for i, line := range lines {
			if !strings.Contains(line, " level="+want[i]+" ") {
				t.Errorf("level %d: %s", level, line)
			}
		}
	}
}

func TestTheFileIsItsOwnersAloneWhateverTheUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	path := filepath.Join(t.TempDir(), "kactus.log")
	_, closeLog := Open(netconf.LevelInfo, path, nil)
	defer closeLog()
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("it has the mode %v: %v", info.Mode(), err)
	}
}

func TestAFileThatOthersMayReadOrWriteIsClosedToThem(t *testing.T) {
	for before, want := range map[os.FileMode]os.FileMode{0o666: 0o640, 0o644: 0o640, 0o620: 0o600, 0o640: 0o640, 0o600: 0o600} {
		path := filepath.Join(t.TempDir(), "kactus.log")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, before); err != nil {
			t.Fatal(err)
		}
		log, closeLog := Open(netconf.LevelInfo, path, nil)
		log.Info("begin")
		closeLog()
		if info, err := os.Stat(path); err != nil || info.Mode() != want || info.Size() == 0 {
			t.Errorf("the mode %v became %v, want %v: %v", before, info.Mode(), want, err)
		}
	}
}

func TestAFileOfAnotherUserIsNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kactus.log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 4242, -1); err != nil {
		t.Fatal(err)
	}
	var otherwise bytes.Buffer
	log, closeLog := Open(netconf.LevelInfo, path, &otherwise)
	log.Info("begin")
	closeLog()
	if got := otherwise.String(); read(t, path) != "" || !strings.Contains(got, "the user 4242") || !strings.Contains(got, "msg=begin") {
		t.Errorf("the file has %q; elsewhere is %q", read(t, path), got)
	}
}

func TestLinesAreAddedAndNoneIsLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kactus.log")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	const verbs, lines = 8, 50
	for range verbs { // each a process of its own, in life
		group.Go(func() {
			log, closeLog := Open(netconf.LevelInfo, path, nil)
			defer closeLog()
			for range lines {
				log.Info("a line")
			}
		})
	}
	group.Wait()
	got := read(t, path)
	if !strings.HasPrefix(got, "before\n") || strings.Count(got, "level=INFO msg=\"a line\"\n") != verbs*lines {
		t.Errorf("%d lines of %d", strings.Count(got, "\n")-1, verbs*lines)
	}
}

func TestWithoutAPathTheLogGoesWhereTheCallerSays(t *testing.T) {
	var otherwise bytes.Buffer
	log, closeLog := Open(netconf.LevelError, "", &otherwise)
	say(log)
	closeLog()
	if got := otherwise.String(); !strings.Contains(got, "level=ERROR msg=\"an error\"") || strings.Contains(got, "a fact") {
		t.Errorf("got %q", got)
	}
}

func TestALogThatCannotBeOpenedGoesWhereTheCallerSaysAndSaysWhy(t *testing.T) {
	dir := t.TempDir()
	fifo, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "target")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"no folder": filepath.Join(dir, "nowhere", "kactus.log"),
		"a folder":  dir,
		"a FIFO that nobody reads, which would hold the verb": fifo,
		"a symbolic link": link,
	} {
		t.Run(name, func(t *testing.T) {
			var otherwise bytes.Buffer
			log, closeLog := Open(netconf.LevelInfo, path, &otherwise)
			defer closeLog()
			log.Info("begin")
			if got := otherwise.String(); !strings.Contains(got, "the log cannot be opened") || !strings.Contains(got, path) || !strings.Contains(got, "msg=begin") {
				t.Errorf("got %q", got)
			}
		})
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("a file was made where the link points")
	}
}

func TestADiskThatIsFullFailsNothing(t *testing.T) {
	log, closeLog := Open(netconf.LevelDebug, "/dev/full", nil)
	defer closeLog()
	say(log)
}

// A FIFO that has a reader, who has stopped reading: the line is lost, and the verb goes on.
func TestAFIFOThatIsFullDoesNotHoldAVerb(t *testing.T) {
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
		for range 64 { // a FIFO holds 64 KiB
			log.Info(strings.Repeat("x", 4096))
		}
	}()
	waitFor(t, done)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func waitFor(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it did not end")
	}
}
