package meta

import (
	"context"
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniresult"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/device"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// addHot attaches one network to a running Pod. It reads no Pod: the agent that calls knows what the Pod wants, and may not have the
// right. A network that is attached already answers with its result, so that an agent may ask again.
func (v *Verbs) addHot(ctx context.Context, req Request) (types.Result, error) {
	if err := checkHot(req); err != nil {
		return nil, err
	}
	netns, book, err := v.begin(ctx, req)
	if err != nil {
		return nil, err
	}
	defer book.Close()
	record := book.Record()
	if len(record.Attachments) > 0 && !record.Netns.Same(netns) {
		return nil, coded(CodeAttached, fmt.Errorf("hot ADD of the network %s: what the container %s has is in another network namespace (%s): DEL it first",
			req.Args.Hot.Network, req.ContainerID, record.Netns.Path))
	}
	if entry, ok := findHot(record, req); ok {
		result, err := v.existing(req, entry)
		if result != nil || err != nil {
			return result, err
		}
		if err := v.undoOne(ctx, book, req, entry); err != nil {
			return nil, fmt.Errorf("undo what an earlier ADD left half made: %w", err)
		}
	}
	attachment, err := v.planHot(ctx, req)
	if err != nil {
		return nil, err
	}
	return v.attach(ctx, book, req, netns, []plan.Attachment{attachment})
}

// checkHot: whoever asks for one network names its device, so that a call that mixes up a network and the whole Pod does nothing.
func checkHot(req Request) error {
	hot := req.Args.Hot
	if want := network.DeviceName(hot.Network); req.Device != want {
		return coded(types.ErrInvalidEnvironmentVariables,
			fmt.Errorf("CNI_IFNAME: %q is not the device of the network %s, %s, which a hot ADD or DEL must name", req.Device, hot.Network, want))
	}
	return nil
}

// findHot is what the container has of the network, be it on a device of its own or as the default network, or another network's attachment in its place.
func findHot(record ledger.Record, req Request) (ledger.Entry, bool) {
	for _, e := range record.Attachments {
		if e.Network == req.Args.Hot.Network && e.Namespace != "" {
			return e, true
		}
	}
	return record.Find(req.Device)
}

// existing is the result of an attachment that is whole, and neither a result nor an error of one that is not.
func (v *Verbs) existing(req Request, e ledger.Entry) (types.Result, error) {
	hot := req.Args.Hot
	if e.Network != hot.Network {
		return nil, coded(types.ErrInvalidNetworkConfig, fmt.Errorf("the networks %s and %s have the same device name, %s", e.Network, hot.Network, e.Device))
	}
	if e.State != ledger.Attached || e.Failures > 0 { // a DEL that failed may have undone some of it
		return nil, refuseDefault(req, e, "is half made")
	}
	devices, err := v.Devices(req.Netns)
	if err != nil {
		return nil, coded(types.ErrInvalidNetNS, err)
	}
	defer devices.Close()
	mac, err := devices.MAC(e.Device)
	switch {
	case errors.Is(err, device.ErrAbsent):
		return nil, refuseDefault(req, e, "has lost its device")
	case err != nil:
		return nil, err
	case hot.MAC != "" && hot.MAC != mac:
		return nil, coded(CodeAttached, fmt.Errorf("hot ADD of the network %s: %s is there already, with the MAC address %s and not %s: hot DEL it first",
			hot.Network, e.Device, mac, hot.MAC))
	}
	result, err := cniresult.Read(e.Result, req.Conf.CNIVersion)
	if err != nil {
		return nil, fmt.Errorf("read the recorded result of %s: %w", e.Device, err)
	}
	return result, nil
}

// refuseDefault: the Pod's default network is not for a hot verb to undo.
func refuseDefault(req Request, e ledger.Entry, state string) error {
	if e.Device == req.Device {
		return nil
	}
	return coded(CodeAttached, fmt.Errorf("the network %s is the Pod's default network on %s, and %s: only a DEL of the Pod undoes it", e.Network, e.Device, state))
}

func (v *Verbs) planHot(ctx context.Context, req Request) (plan.Attachment, error) {
	ctx, cancel := askingTime(ctx, req)
	defer cancel()
	api, err := v.API()
	if err != nil {
		return plan.Attachment{}, err
	}
	selection := network.Selection{Name: req.Args.Hot.Network, IfMAC: req.Args.Hot.MAC}
	choices, err := findNetworks(ctx, api, req, []network.Selection{selection})
	if err != nil {
		return plan.Attachment{}, err
	}
	attachment, err := plan.Hot(req.Conf, choices[0])
	if err != nil {
		return plan.Attachment{}, coded(types.ErrInvalidNetworkConfig, err)
	}
	return attachment, nil
}

// delHot undoes one network of a running Pod, from the ledger alone. One that is not there is undone already.
func (v *Verbs) delHot(ctx context.Context, req Request) error {
	if err := checkHot(req); err != nil {
		return err
	}
	book, unread, err := v.lockToUndo(ctx, req.ContainerID)
	if err != nil {
		return err
	}
	defer book.Close()
	if unread != nil { // the next one finds nothing, and succeeds: whoever asked must hear it once
		return ledgerError(fmt.Errorf("hot DEL of the network %s: %s may be left, as nothing is known of it: %w", req.Args.Hot.Network, req.Device, unread))
	}
	entry, ok := findHot(book.Record(), req)
	switch {
	case !ok:
		v.Log.Info("nothing to undo: the ledger has no such attachment", "network", req.Args.Hot.Network)
		return nil
	case entry.Device != req.Device:
		return refuseDefault(req, entry, "stays as long as the Pod")
	case entry.Network != req.Args.Hot.Network:
		v.Log.Warn("nothing to undo: the device is another network's", "network", req.Args.Hot.Network, "device", entry.Device, "of", entry.Network)
		return nil
	}
	return v.undoOne(ctx, book, req, entry)
}
