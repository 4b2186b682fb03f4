package metaplugin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// Add runs ADD (CNI specification, section 2) for a whole Pod, or, where the request is for a hot
// network, for that one alone. It returns the result of the default network, or of the hot network,
// as JSON of the netconf's cniVersion. If it fails, what it made is rolled back, and what could not
// be is in the ledger for a DEL. The error is a *types.Error.
func (p *Plugin) Add(ctx context.Context, req Request) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, addTimeout, fmt.Errorf("the limit of an ADD is %s", addTimeout))
	defer cancel()
	if req.Args.Hot != nil {
		req.Operation = "ADD"
		result, err := p.paced(ctx, req, p.addHot)
		return result, asCNI(err)
	}
	result, err := p.addPod(ctx, req)
	return result, asCNI(err)
}

func (p *Plugin) addPod(ctx context.Context, req Request) (json.RawMessage, error) {
	ns, record, err := p.beginAdd(ctx, req)
	if err != nil {
		return nil, err
	}
	defer record.Close()
	if attached := record.Record().Attachments; len(attached) > 0 {
		return nil, attachedError(fmt.Errorf(
			"ADD of the container %s: attached already, and left alone, are the interfaces %s: DEL the container first",
			req.ContainerID, ifNames(attached)))
	}
	attachments, err := p.resolvePod(ctx, req)
	if err != nil {
		return nil, err
	}
	result, err := p.attach(ctx, record, req, ns, attachments)
	if err == nil {
		p.openToHot(req.ContainerID, ns)
	}
	return result, err
}

// beginAdd checks whom an ADD is for, and takes the container's lock.
func (p *Plugin) beginAdd(ctx context.Context, req Request) (netns.ID, LockedRecord, error) {
	if err := req.Args.Pod.Validate(); err != nil {
		return netns.ID{}, nil, environmentError("CNI_ARGS", err)
	}
	ns, err := podNetns(req.Netns)
	if err != nil {
		return netns.ID{}, nil, netnsError(fmt.Errorf("CNI_NETNS: %w", err))
	}
	record, err := p.lock(ctx, req.ContainerID, lockTimeout)
	return ns, record, err
}

// podNetns identifies the network namespace that an ADD is for. Interfaces such as eth0 are not
// made in the node's own.
func podNetns(path string) (netns.ID, error) {
	ns, err := netns.Identify(path)
	if err != nil {
		return netns.ID{}, err
	}
	own, err := netns.Own()
	if err != nil {
		return netns.ID{}, err
	}
	if ns.Same(own) {
		return netns.ID{}, fmt.Errorf("%s is the network namespace of the node, not of a Pod", path)
	}
	return ns, nil
}

func ifNames(attachments []ledger.Attachment) string {
	var names []string
	for _, a := range attachments {
		names = append(names, a.IfName)
	}
	return strings.Join(names, ", ")
}
