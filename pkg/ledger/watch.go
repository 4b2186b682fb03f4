package ledger

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// Watch calls changed with the container ID of each record that is written or removed, until ctx
// ends, and then returns nil. It calls started once it misses nothing anymore, and again whenever
// it may have missed something: then all records must be read again. The error says why it cannot
// go on.
func (l Ledger) Watch(ctx context.Context, started func(), changed func(containerID string)) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the ledger's directory: %w", err)
	}
	defer watcher.Close()
	if err := watcher.Add(l.dir); err != nil {
		return fmt.Errorf("watch the ledger's directory %s: %w", l.dir, err)
	}
	started()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-watcher.Events:
			if event.Name == l.dir {
				return fmt.Errorf("watch the ledger's directory %s: somebody removed or renamed it", l.dir)
			}
			if id, ok := containerOf(event); ok {
				changed(id)
			}
		case <-watcher.Errors: // the queue has overflowed
			started()
		}
	}
}

// containerOf returns the container whose record the event is about.
func containerOf(event fsnotify.Event) (string, bool) {
	if !event.Has(fsnotify.Create) && !event.Has(fsnotify.Remove) && !event.Has(fsnotify.Rename) {
		return "", false
	}
	name := filepath.Base(event.Name)
	if isPredecessor(name) {
		return name, true
	}
	id, quarantined, ok := parseFileName(name)
	return id, ok && !quarantined
}
