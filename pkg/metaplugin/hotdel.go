package metaplugin

import (
	"context"
	"encoding/json"
	"fmt"
)

func (p *Plugin) delHotPaced(ctx context.Context, req Request) error {
	req.Operation = "DEL"
	_, err := p.paced(ctx, req, func(ctx context.Context, req Request) (json.RawMessage, error) {
		return nil, p.delHot(ctx, req)
	})
	return err
}

// delHot tears down one network of a running Pod, from the ledger alone. One that is not attached
// is torn down already.
func (p *Plugin) delHot(ctx context.Context, req Request) error {
	locked, corrupt, err := p.lockForDel(ctx, req.ContainerID)
	if err != nil {
		return err
	}
	defer locked.Close()
	defer p.markHot(req.ContainerID, req.IfName)()
	if corrupt != nil { // the next hot DEL finds nothing, and succeeds: the agent must learn of it once
		return ioError(fmt.Errorf(
			"hot DEL of the network %s: the interface %s may be left, since nothing is known of it: %w",
			req.Args.Hot.Network, req.IfName, corrupt))
	}
	locked.Adopt("", req.Args.Pod)
	record := locked.Record()
	if err := req.checkHotIfName(record); err != nil {
		return err
	}
	a, ok := findHot(record, req)
	switch {
	case !ok:
		p.Log.Info("nothing to tear down: the ledger has no such attachment", "network", req.Args.Hot.Network)
		return nil
	case a.IfName != req.IfName:
		return refuseOther(record, req, a, "stays as long as the Pod")
	case a.Network != req.Args.Hot.Network:
		p.Log.Warn("nothing to tear down: the interface is another network's",
			"network", req.Args.Hot.Network, "interface", a.IfName, "attached", a.Network)
		return nil
	}
	if err := checkNetns(req.Netns, record.Netns); err != nil {
		return netnsError(fmt.Errorf("hot DEL of the network %s: CNI_NETNS: %w", req.Args.Hot.Network, err))
	}
	return p.tearDownHot(ctx, locked, req, a)
}
