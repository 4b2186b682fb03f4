package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// The parts that the agent cannot do without.
const (
	ledgerWatch = "ledger"
	podWatch    = "pods"
	nodeNetconf = "netconf"
)

// health is what keeps the agent from its work.
type health struct {
	mu     sync.Mutex
	broken map[string]error
}

// set notes what is wrong with a part, or that nothing is.
func (h *health) set(part string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken == nil {
		h.broken = map[string]error{}
	}
	h.broken[part] = err
}

// PodsFollowed notes what keeps the agent from following the Pods; nil for nothing.
func (a *Agent) PodsFollowed(err error) { a.health.set(podWatch, err) }

// followsPods reports whether nothing keeps the agent from following the Pods.
func (a *Agent) followsPods() bool {
	a.health.mu.Lock()
	defer a.health.mu.Unlock()
	return a.health.broken[podWatch] == nil
}

// Health returns what keeps the agent from its work; nil for nothing.
func (a *Agent) Health() error {
	_, err := a.Kactus.Netconf()
	a.health.set(nodeNetconf, err)
	a.health.mu.Lock()
	defer a.health.mu.Unlock()
	var all []string
	for part, err := range a.health.broken {
		if err != nil {
			all = append(all, fmt.Sprintf("%s: %v", part, err))
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return errors.New(strings.Join(all, "; "))
}
