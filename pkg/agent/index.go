package agent

import (
	"maps"
	"slices"
	"sync"
)

// An index has the containers that the ledger has records of, by their Pods. It spares the agent to
// read all records for each Pod, and is no source of its own.
type index struct {
	mu         sync.Mutex
	containers map[string]podKey // by container ID
}

// replace takes the place of all that the index has, and returns the Pods that it had, or now has.
func (x *index) replace(containers map[string]podKey) []podKey {
	x.mu.Lock()
	defer x.mu.Unlock()
	pods := map[podKey]bool{}
	for _, all := range []map[string]podKey{x.containers, containers} {
		for _, key := range all {
			pods[key] = true
		}
	}
	x.containers = containers
	return slices.Collect(maps.Keys(pods))
}

func (x *index) set(containerID string, key podKey) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.containers[containerID] = key
}

func (x *index) remove(containerID string) (key podKey, known bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	key, known = x.containers[containerID]
	delete(x.containers, containerID)
	return key, known
}

// of returns the containers of a Pod.
func (x *index) of(key podKey) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var ids []string
	for id, of := range x.containers {
		if of == key {
			ids = append(ids, id)
		}
	}
	return ids
}
