package ledger

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// watched runs do while the ledger in dir is watched, and returns the containers that changed.
func watched(t *testing.T, dir string, do func()) (changed []string, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const last = "last"
	started, failed := make(chan struct{}, 16), make(chan error, 1)
	seen := make(chan string, 64)
	go func() {
		failed <- At(dir, dir).Watch(ctx, func() { started <- struct{}{} }, func(id string) { seen <- id })
	}()
	<-started
	do()
	write(t, filepath.Join(dir, last+".json"))
	for {
		select {
		case id := <-seen:
			if id == last {
				return changed, nil
			}
			changed = append(changed, id)
		case err := <-failed:
			return changed, err
		}
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

func TestWatch_TellsOfRecords(t *testing.T) {
	dir := t.TempDir()
	id := strings.Repeat("0a", 32)
	got, err := watched(t, dir, func() {
		write(t, filepath.Join(dir, "one.tmp")) // as WritePlanned does
		if err := os.Rename(filepath.Join(dir, "one.tmp"), filepath.Join(dir, "one.json")); err != nil {
			t.Error(err)
		}
		write(t, filepath.Join(dir, id))           // the predecessor's
		write(t, filepath.Join(dir, "other.lock")) // of an older version
		write(t, filepath.Join(dir, "one.json.20260101T000000Z.corrupt"))
		write(t, filepath.Join(dir, probeName))
		if err := os.Remove(filepath.Join(dir, "one.json")); err != nil {
			t.Error(err)
		}
	})
	if want := "one " + id + " one"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %q, %v; want %s", got, err, want)
	}
}

func TestWatch_FailsWithoutItsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := watched(t, dir, func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	if err := At(dir, dir).Watch(t.Context(), func() {}, func(string) {}); err == nil {
		t.Error("a directory that is missing can be watched")
	}
}
