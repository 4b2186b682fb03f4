package metaplugin

import (
	"fmt"
	"strconv"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// closedMark is on a container that had its DEL while its network namespace lives. Its text is the
// path of that namespace.
const closedMark kind = "closed"

// maxClosed is how many containers stay closed at once.
const maxClosed = 1024

// closeToHot keeps hot ADDs from the container, which is about to have its DEL: nothing would ever
// undo them. Where the namespace is gone, a hot ADD fails without that.
func (p *Plugin) closeToHot(req Request, record ledger.Record) {
	path := p.usableNetns(req.Netns, record)
	if path == "" {
		return
	}
	ns, err := netns.Identify(path)
	if err != nil {
		return
	}
	p.Marks.prune(closedMark, maxClosed, func(m mark) bool {
		_, err := netns.Identify(m.text)
		return err != nil
	})
	if err := p.Marks.set(closedMark, path, closedKey(req.ContainerID, ns)...); err != nil {
		p.Log.Warn("a hot ADD is possible after the DEL", "cause", err)
	}
}

// openToHot undoes closeToHot: an ADD of the Pod succeeded.
func (p *Plugin) openToHot(containerID string, ns netns.ID) {
	p.Marks.remove(closedMark, closedKey(containerID, ns)...)
}

// checkOpen reports a container that had its DEL.
func (p *Plugin) checkOpen(req Request, ns netns.ID) error {
	if _, closed := p.Marks.get(closedMark, closedKey(req.ContainerID, ns)...); !closed {
		return nil
	}
	return &codedError{types.ErrUnknownContainer, fmt.Errorf(
		"hot ADD of the network %s: the container %s had its DEL, and takes no networks anymore",
		req.Args.Hot.Network, req.ContainerID)}
}

func closedKey(containerID string, ns netns.ID) []string {
	return []string{containerID, ns.BootID, strconv.FormatUint(ns.Device, 10), strconv.FormatUint(ns.Inode, 10)}
}
