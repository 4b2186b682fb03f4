package metaplugin

import (
	"errors"
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// usableNetns returns the path of the network namespace in which delegates are to find the
// interfaces: the requested one or, where that leads elsewhere, the recorded one. It returns the
// empty path if neither leads to the namespace that the attachments were made in: the interfaces
// went with it, or go soon, and delegates then tear down what is elsewhere, such as addresses and
// port mappings.
func (p *Plugin) usableNetns(path string, record ledger.Record) string {
	if len(record.Attachments)+len(record.Orphans) == 0 || record.Netns.IsZero() {
		return p.unrecordedNetns(path)
	}
	if found := findNetns(path, record.Netns); found != "" {
		return found
	}
	p.Log.Info("the network namespace is gone, or is another one by now, which is left alone",
		"netns", path, "recorded", record.Netns.Path)
	return ""
}

// unrecordedNetns returns the path of the network namespace of a container that the ledger does not
// know. The node's own is not one.
func (p *Plugin) unrecordedNetns(path string) string {
	if path == "" {
		return ""
	}
	if _, err := podNetns(path); err != nil {
		p.Log.Info("the network namespace is gone, or is not one of a Pod", "cause", err)
		return ""
	}
	return path
}

// findNetns returns the path that leads to the recorded namespace: the given one or the recorded
// one; empty if neither does.
func findNetns(path string, recorded netns.ID) string {
	for _, path := range []string{path, recorded.Path} {
		if path == "" {
			continue
		}
		if ns, err := netns.Identify(path); err == nil && ns.Same(recorded) {
			return path
		}
	}
	return ""
}

// checkNetns reports whether it is certain where the interfaces of a running Pod are: in a
// namespace that is found, or in none anymore. A hot DEL that guessed wrong would free the address
// of an interface that the Pod still has.
func checkNetns(path string, recorded netns.ID) error {
	if recorded.IsZero() { // the predecessor's: the caller alone knows where it is
		_, err := podNetns(path)
		return err
	}
	if findNetns(path, recorded) != "" {
		return nil
	}
	index, err := netns.Scan()
	if err != nil {
		return err
	}
	if index.Gone(recorded) {
		return nil
	}
	cause := errors.New("missing")
	if path != "" {
		cause = fmt.Errorf("%s is not the network namespace in which the container's attachments were made", path)
	}
	return fmt.Errorf("%w, nor is %s, where that was, and whether it is gone cannot be told: nothing is touched",
		cause, recorded.Path)
}
