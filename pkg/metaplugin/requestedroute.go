package metaplugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// routeHolder returns the attachment that asks for the Pod's default route; a zero one, which takes
// none, if there is no such attachment.
func routeHolder(attachments []ledger.Attachment) ledger.Attachment {
	for _, a := range attachments {
		if len(a.DefaultRoute) > 0 {
			return a
		}
	}
	return ledger.Attachment{}
}

// routed returns the result of a's ADD with the default routes that the Pod really has: those of
// holder's families are holder's.
func routed(holder, a ledger.Attachment, result *cniconf.Result) *cniconf.Result {
	if a.IfName == holder.IfName {
		return holder.WithDefaultRoute(result)
	}
	return holder.WithoutDefaultRoutes(result)
}

// findRouteHolder finds out which attachment has the Pod's default route after the ADD: one of its
// own, or one that has it already. If somebody else has changed the default route since that one
// got it, the ADD leaves it alone.
func (b *batch) findRouteHolder() error {
	own, earlier := routeHolder(b.attachments), routeHolder(b.record.Record().Attachments)
	switch {
	case own.IfName != "" && earlier.IfName != "":
		return attachedError(fmt.Errorf("ADD of the network %s for %s: default-route: the network %s has the Pod's "+
			"default route, on %s: hot DEL it first", own.Network, own.IfName, earlier.Network, earlier.IfName))
	case own.IfName != "":
		b.holder = own
		return nil
	case earlier.IfName == "":
		return nil
	}
	ns, err := b.plugin.OpenNetns(b.req.Netns)
	if err != nil {
		return netnsError(fmt.Errorf("CNI_NETNS: %w", err))
	}
	defer ns.Close()
	unchanged, err := hasKeptDefaultRoute(ns, earlier)
	if err != nil {
		return ioError(fmt.Errorf("read the Pod's default routes: %w", err))
	}
	if unchanged {
		b.holder = earlier
	} else {
		b.plugin.Log.Warn("the Pod's default route is left as somebody else has changed it since kactus did",
			"network", earlier.Network, "interface", earlier.IfName, "requested", earlier.DefaultRoute)
	}
	return nil
}

// hasKeptDefaultRoute reports whether the attachment's interface is there, and either its default
// routes or none at all.
func hasKeptDefaultRoute(ns Netns, a ledger.Attachment) (bool, error) {
	if _, err := ns.MAC(a.IfName); err != nil {
		if errors.Is(err, netns.ErrNoInterface) {
			err = nil
		}
		return false, err
	}
	for _, gateways := range a.GatewaysByFamily() {
		now, err := ns.DefaultRoutes(netns.DefaultDestination(gateways[0]))
		if err != nil || isReplaced(now, a, gateways) {
			return false, err
		}
	}
	return true, nil
}

// isReplaced reports whether there are default routes, but none that kactus set for the attachment.
func isReplaced(now []netns.Route, a ledger.Attachment, gateways []netip.Addr) bool {
	return len(now) > 0 && !slices.ContainsFunc(now, func(r netns.Route) bool { return r.IsVia(a.IfName, gateways) })
}

// takeDefaultRoute gives the holder the Pod's default route, once all attachments are made: each
// may have brought one of its own. What was there before is on the disk first: a tear-down puts it
// back.
func (b *batch) takeDefaultRoute() error {
	a := b.holder
	if a.IfName == "" {
		return nil
	}
	ns, err := b.plugin.OpenNetns(b.req.Netns)
	if err != nil {
		return notHonoredError(err)
	}
	defer ns.Close()
	previous, err := b.previousRoutes(ns, a)
	if err != nil {
		return notHonoredError(fmt.Errorf("network %s: default-route: %w", a.Network, err))
	}
	if !slices.EqualFunc(previous, a.PreviousRoutes, netns.Route.Equal) {
		if err := b.record.MarkRouteChange(a.IfName, previous); err != nil {
			return storeError(err)
		}
	}
	for _, gateways := range a.GatewaysByFamily() {
		if err := ns.SetDefaultRoute(a.IfName, gateways); err != nil {
			return notHonoredError(fmt.Errorf("network %s: default-route: %w", a.Network, err))
		}
	}
	return nil
}

// previousRoutes returns the default routes that the Pod would have without that of a: those that
// are there now, before what was there already when a got its own. What that has of an interface
// that this ADD has made is of an earlier one of the same name.
func (b *batch) previousRoutes(ns Netns, a ledger.Attachment) ([]netns.Route, error) {
	var previous []netns.Route
	for _, gateways := range a.GatewaysByFamily() {
		now, err := ns.DefaultRoutes(netns.DefaultDestination(gateways[0]))
		if err != nil {
			return nil, err
		}
		for _, r := range now {
			if r = r.Without(a.IfName); len(r.Hops) > 0 {
				previous = append(previous, r)
			}
		}
	}
	for _, r := range a.PreviousRoutes {
		for _, made := range b.attachments {
			r = r.Without(made.IfName)
		}
		if len(r.Hops) > 0 && !r.IsIn(previous) {
			previous = append(previous, r)
		}
	}
	return previous, nil
}

// putBackRoutes gives the Pod the default routes that it had before kactus set that of the
// attachment, while that is still there, so that the Pod always has one. It undoes kactus's own
// change alone: what somebody else has set since stays. A Pod that is gone is no error.
func (p *Plugin) putBackRoutes(netnsPath string, a ledger.Attachment) error {
	if len(a.PreviousRoutes) == 0 {
		return nil
	}
	ns, err := p.OpenNetns(netnsPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return ioError(fmt.Errorf("put back the default routes from before that of %s: %w", a.IfName, err))
	}
	defer ns.Close()
	for _, gateways := range a.GatewaysByFamily() {
		if err := p.putBackRoutesOf(ns, a, gateways); err != nil {
			return ioError(fmt.Errorf("put back the default routes from before that of %s: %w", a.IfName, err))
		}
	}
	return nil
}

// putBackRoutesOf does so for the family of the gateways.
func (p *Plugin) putBackRoutesOf(ns Netns, a ledger.Attachment, gateways []netip.Addr) error {
	destination := netns.DefaultDestination(gateways[0])
	previous := slices.DeleteFunc(slices.Clone(a.PreviousRoutes), func(r netns.Route) bool {
		return r.Destination != destination
	})
	now, err := ns.DefaultRoutes(destination)
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(previous), func(r netns.Route) bool { return r.IsIn(now) })
	if isReplaced(now, a, gateways) {
		if len(missing) > 0 {
			p.Log.Warn("the previous default routes are not put back: somebody else changed them since kactus did",
				"network", a.Network, "interface", a.IfName, "previous", missing)
		}
		return nil
	}
	passedOver, err := ns.PutBackDefaultRoutes(a.IfName, previous)
	if len(passedOver) > 0 {
		p.Log.Info("default routes are not put back: their interface or the way to their gateway is gone",
			"network", a.Network, "interface", a.IfName, "previous", passedOver)
	}
	return err
}

// checkDefaultRoute returns an error if the Pod's default route is not the one that the attachment
// asks for. While a hot operation is running, its delegate may have made another, for a moment.
func checkDefaultRoute(ns Netns, s checked, a ledger.Attachment) error {
	if s.changing != "" {
		return nil
	}
	for _, gateways := range a.GatewaysByFamily() {
		now, err := ns.DefaultRoutes(netns.DefaultDestination(gateways[0]))
		if err != nil {
			return err
		}
		if !netns.LeadVia(now, a.IfName, gateways) {
			return fmt.Errorf("the default route does not lead through %s by %v, as was asked for", a.IfName, gateways)
		}
	}
	return nil
}

// checkedResult returns the recorded result of a as its delegate can find it in the Pod: without
// default routes of the families that an attachment of the Pod asks for, which are not there, or
// are not as the delegate made them.
func checkedResult(record ledger.Record, a ledger.Attachment) (json.RawMessage, error) {
	holder := routeHolder(record.Attachments)
	if holder.IfName == "" || len(a.Result) == 0 {
		return a.Result, nil
	}
	result, err := cniconf.ParseResult(a.Result)
	if err != nil {
		return nil, fmt.Errorf("read the recorded result of %s: %w", a.IfName, err)
	}
	return cniconf.EncodeResult(holder.WithoutDefaultRoutes(result), a.Config.CNIVersion)
}
