package metaplugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// addHot attaches one network to a running Pod. It does not read the Pod: the agent knows what the
// Pod asks for, and may not be allowed to. For a network that is attached already, it returns the
// recorded result, so that an agent may ask again.
func (p *Plugin) addHot(ctx context.Context, req Request) (json.RawMessage, error) {
	if err := req.checkHotIfName(ledger.Record{}); err != nil {
		return nil, err
	}
	ns, locked, err := p.beginAdd(ctx, req)
	if err != nil {
		return nil, err
	}
	defer locked.Close()
	defer p.markHot(req.ContainerID, req.IfName)()
	locked.Adopt("", req.Args.Pod)
	if err := p.checkOpen(req, ns); err != nil {
		return nil, err
	}
	record := locked.Record()
	if len(record.Attachments) > 0 && !record.Netns.IsZero() && !record.Netns.Same(ns) {
		return nil, attachedError(fmt.Errorf(
			"hot ADD of the network %s: the container %s is attached in another network namespace (%s): DEL it first",
			req.Args.Hot.Network, req.ContainerID, record.Netns.Path))
	}
	if a, ok := findHot(record, req); ok {
		result, err := p.attachedResult(record, req, a)
		if result != nil || err != nil {
			return result, err
		}
		if err := p.tearDownHot(ctx, locked, req, a); err != nil {
			return nil, fmt.Errorf("tear down what an earlier ADD left half made: %w", err)
		}
	}
	attachments, err := p.resolveHot(ctx, req, locked.Record().Attachments)
	if err != nil {
		return nil, err
	}
	return p.attach(ctx, locked, req, ns, attachments)
}

// findHot returns the attachment that a hot operation is about, or another network's on its
// interface. An agent that passes no interface in a selection may mean a network that the Pod has
// on another interface than the computed one, such as the default network.
func findHot(record ledger.Record, req Request) (ledger.Attachment, bool) {
	a, ok := record.Find(req.IfName)
	if s := req.Conf.Selection; ok || s != nil && s.IfName != "" {
		return a, ok
	}
	return record.FindNetwork(req.Args.Hot.Network)
}

// attachedResult returns the result of an attachment that is whole, and neither a result nor an
// error for one that is not.
func (p *Plugin) attachedResult(record ledger.Record, req Request, a ledger.Attachment) (json.RawMessage, error) {
	s := req.selection()
	if a.Network == s.Name && a.NPWG != s.NPWG {
		return nil, attachedError(fmt.Errorf("the interface %s is attached already, to the %s %s/%s: hot DEL it first",
			a.IfName, kindOf(a.NPWG), a.Namespace, a.Network))
	}
	if a.Network != s.Name {
		return nil, configError(fmt.Errorf("the networks %s and %s have the same interface name, %s",
			a.Network, s.Name, a.IfName))
	}
	if a.HalfMade() {
		return nil, refuseOther(record, req, a, "is half made")
	}
	result, err := recordedResult(a, req.Netns)
	if err != nil {
		return nil, err
	}
	mac, err := p.attachedMAC(req.Netns, a, result)
	switch {
	case errors.Is(err, netns.ErrNoInterface):
		return nil, refuseOther(record, req, a, "has lost its interface")
	case err != nil:
		return nil, err
	}
	if err := checkSelected(req, a, mac, result); err != nil {
		return nil, err
	}
	if len(a.Result) == 0 {
		result.Interfaces[0].Mac = string(mac)
	}
	return encodeForRuntime(req, a, routed(routeHolder(record.Attachments), a, result))
}

// recordedResult returns the result of the attachment's ADD. The predecessor did not record it: of
// its attachments, the interface alone is known.
func recordedResult(a ledger.Attachment, netnsPath string) (*cniconf.Result, error) {
	if len(a.Result) == 0 {
		own := cniconf.Interface{Name: a.IfName, Sandbox: netnsPath}
		return &cniconf.Result{Interfaces: []*cniconf.Interface{&own}}, nil
	}
	result, err := cniconf.ParseResult(a.Result)
	if err != nil {
		return nil, fmt.Errorf("read the recorded result of %s: %w", a.IfName, err)
	}
	return result, nil
}

// attachedMAC returns the MAC address of the attachment's interface or, where it never had one that
// the kernel knows, that of the result, which may be empty.
func (p *Plugin) attachedMAC(netnsPath string, a ledger.Attachment, result *cniconf.Result) (network.MAC, error) {
	if a.NoInterface {
		return a.ResultMAC(result), nil
	}
	ns, err := p.OpenNetns(netnsPath)
	if err != nil {
		return "", netnsError(err)
	}
	defer ns.Close()
	return ns.MAC(a.IfName)
}

// refuseOther refuses a hot operation that would have to tear down the Pod's default network, or
// an interface that it does not name.
func refuseOther(record ledger.Record, req Request, a ledger.Attachment, state string) error {
	switch a.IfName {
	case req.IfName:
		return nil
	case record.IfName:
		return attachedError(fmt.Errorf("the network %s is the Pod's default network on the interface %s, and %s: "+
			"only a DEL of the Pod tears it down", a.Network, a.IfName, state))
	}
	return attachedError(fmt.Errorf("the network %s is attached on the interface %s, and %s: name it instead of %s",
		a.Network, a.IfName, state, req.IfName))
}
