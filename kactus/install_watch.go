package main

import (
	"context"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/time/rate"
)

// burst is how many changes of the CNI directory are followed at once. It is more than the programs
// of a node that starts make, and an end to the race with one that undoes what kactus writes.
const burst = 20

// watchDir returns a channel that receives when something changes in the directory, until ctx ends:
// on a new node, Pods could start without their other networks as soon as the default network's
// configuration is there and kactus's is not. The channel never receives where the directory cannot
// be watched, or while it changes too often; then the installer looks again after its interval.
func watchDir(ctx context.Context, dir string, every time.Duration) <-chan struct{} {
	changed := make(chan struct{}, 1)
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return changed
	}
	if err := watcher.Add(dir); err != nil {
		_ = watcher.Close()
		return changed
	}
	limit := rate.NewLimiter(rate.Every(every), burst)
	go func() {
		defer watcher.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case <-watcher.Errors: // the queue has overflowed
			case <-watcher.Events:
			}
			if len(changed) == 0 && limit.Allow() {
				changed <- struct{}{}
			}
		}
	}()
	return changed
}
