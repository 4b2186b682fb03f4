package metaplugin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containernetworking/cni/pkg/types/create"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// Check runs CHECK (CNI specification, section 2) for a whole Pod, or, where the request is for a
// hot network, for that one alone. Each attachment must be whole and have its interface, with the
// MAC address that was asked for, and its delegate's CHECK must pass, with the result that the
// ledger has. The error, a *types.Error, joins all problems. Those of hot networks are no error of
// the Pod, which the runtime would end, but warnings in the log.
func (p *Plugin) Check(ctx context.Context, req Request) error {
	if req.Conf.DisableCheck {
		p.Log.Info("nothing is checked: the netconf has disableCheck")
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, fmt.Errorf("the limit of a CHECK is %s", checkTimeout))
	defer cancel()
	return asCNI(p.check(ctx, req))
}

func (p *Plugin) check(ctx context.Context, req Request) error {
	if err := req.checkVersion("CHECK"); err != nil {
		return err
	}
	if err := checkPrevResult(req.Conf); err != nil {
		return configError(fmt.Errorf("netconf: prevResult: %w", err))
	}
	s, err := p.recordToCheck(ctx, req)
	if err != nil {
		return err
	}
	defer s.close()
	if len(s.record.Attachments) > 0 && s.record.Netns.IsZero() {
		p.Log.Info("nothing is checked: the record of the predecessor has neither namespace nor results")
		return nil
	}
	attachments, err := toCheck(s.record, req)
	if err != nil {
		return checkError(fmt.Errorf("CHECK of the container %s: %w", req.ContainerID, err))
	}
	ns, err := p.openRecordedNetns(req, s.record)
	if err != nil {
		return netnsError(fmt.Errorf("CNI_NETNS: %w", err))
	}
	defer ns.Close()
	if req.Args.Hot != nil {
		return p.checkAttachment(ctx, ns, s, req, attachments[0])
	}
	hot := slices.DeleteFunc(slices.Clone(attachments), func(a ledger.Attachment) bool { return !s.isHot(a) })
	needed := slices.DeleteFunc(attachments, s.isHot)
	failed := make([]error, len(needed))
	inParallel(p.Parallel, len(needed), func(i int) {
		failed[i] = p.checkAttachment(ctx, ns, s, req, needed[i])
	})
	p.checkHot(ctx, ns, s, req, hot)
	return errors.Join(failed...)
}

// checkHot checks the hot networks of a Pod, whose problems are warnings in the log.
func (p *Plugin) checkHot(ctx context.Context, ns Netns, s checked, req Request, attachments []ledger.Attachment) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkHotTimeout,
		fmt.Errorf("the limit of checking hot networks is %s", checkHotTimeout))
	defer cancel()
	inParallel(p.Parallel, len(attachments), func(i int) {
		if err := p.checkAttachment(ctx, ns, s, req, attachments[i]); err != nil {
			p.Log.Warn("a hot network of the Pod is not as it was made",
				"network", attachments[i].Network, "cause", err)
		}
	})
}

// checkPrevResult checks the result of the ADD that the runtime passes. What the CHECK goes by is
// the ledger, which knows all networks, and has not lost the result where the runtime has.
func checkPrevResult(conf netconf.Conf) error {
	if conf.PrevResult == nil {
		return nil
	}
	_, err := create.Create(conf.CNIVersion, conf.PrevResult)
	return err
}

// toCheck returns the attachments that the request is for.
func toCheck(record ledger.Record, req Request) ([]ledger.Attachment, error) {
	if req.Args.Hot != nil {
		if err := req.checkHotIfName(record); err != nil {
			return nil, err
		}
		a, ok := findHot(record, req)
		if !ok || a.Network != req.Args.Hot.Network {
			return nil, fmt.Errorf("the ledger has no attachment to the network %s", req.Args.Hot.Network)
		}
		a, err := asSelected(req, a)
		return []ledger.Attachment{a}, err
	}
	if _, ok := record.Find(req.IfName); !ok || record.IfName != req.IfName {
		return nil, fmt.Errorf("the ledger has no default network on the interface %s", req.IfName)
	}
	return record.Attachments, nil
}

// openRecordedNetns opens the network namespace that the request names, which must be the one that
// the attachments were made in.
func (p *Plugin) openRecordedNetns(req Request, record ledger.Record) (Netns, error) {
	ns, err := netns.Identify(req.Netns)
	if err != nil {
		return nil, err
	}
	if !ns.Same(record.Netns) {
		return nil, fmt.Errorf("%s is not the network namespace in which the container's attachments were made (%s)",
			req.Netns, record.Netns.Path)
	}
	return p.OpenNetns(req.Netns)
}

// netnsOfAdd returns the path by which the ADD of the attachment named the network namespace,
// because plugins compare it with their result; or the requested path, if that one leads elsewhere
// by now. The runtime and a node agent may have different paths to one namespace.
func netnsOfAdd(a ledger.Attachment, recorded netns.ID, requested string) string {
	result, err := cniconf.ParseResult(a.Result)
	if err != nil {
		return requested
	}
	for _, i := range result.Interfaces {
		if i.Name != a.IfName || i.Sandbox == "" {
			continue
		}
		if ns, err := netns.Identify(i.Sandbox); err == nil && ns.Same(recorded) {
			return i.Sandbox
		}
	}
	return requested
}

func (p *Plugin) checkAttachment(ctx context.Context, ns Netns, s checked, req Request, a ledger.Attachment) error {
	err := checkInterface(ns, a)
	if err == nil {
		err = checkDefaultRoute(ns, s, a)
	}
	if err == nil {
		a.Result, err = checkedResult(s.record, a)
	}
	if err != nil {
		return checkError(fmt.Errorf("network %s: %w", a.Network, err))
	}
	c := call(req.ContainerID, netnsOfAdd(a, s.record.Netns, req.Netns), a)
	c.Config.Plugins = slices.DeleteFunc(slices.Clone(c.Config.Plugins), func(plugin cniconf.Plugin) bool {
		reason := cannotCheck(plugin)
		if reason != "" {
			p.Log.Info("a plugin's CHECK is passed over", "network", a.Network, "plugin", plugin.Type, "cause", reason)
		}
		return reason != ""
	})
	c.Result = stableResult(c.Config, c.Result)
	if err := s.delegates.Check(ctx, c); err != nil {
		return fmt.Errorf("network %s: %w", a.Network, err)
	}
	return nil
}

func checkInterface(ns Netns, a ledger.Attachment) error {
	switch {
	case a.State != ledger.Attached:
		return fmt.Errorf("the interface %s is half made", a.IfName)
	case a.Failures > 0:
		return fmt.Errorf("the interface %s may be half torn down: a DEL of it failed: %s", a.IfName, a.LastFailure)
	case a.NoInterface:
		return nil
	}
	mac, err := ns.MAC(a.IfName)
	switch {
	case err != nil:
		return err
	case a.MAC != "" && mac != a.MAC:
		return fmt.Errorf("the interface %s has the MAC address %s, not %s, which was asked for", a.IfName, mac, a.MAC)
	}
	return nil
}
