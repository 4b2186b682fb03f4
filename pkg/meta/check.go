package meta

import (
	"context"
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/types/create"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniresult"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/delegate"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// Check runs CHECK (CNI specification, section 2): of a whole Pod, or, where the request is for a hot network, of that one alone. Each attachment
// must be whole and have its device, with the MAC address that was asked for, and its delegate's CHECK must pass, by the result that the ledger
// has. The error, a *types.Error, joins all that is wrong.
func (v *Verbs) Check(ctx context.Context, req Request) error {
	if req.Conf.DisableCheck {
		v.Log.Info("nothing is checked: the netconf has disableCheck")
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, fmt.Errorf("a CHECK may take %s", checkTime))
	defer cancel()
	if err := v.check(ctx, req); err != nil {
		return asCNI(err)
	}
	return nil
}

func (v *Verbs) check(ctx context.Context, req Request) error {
	if err := needVersion(req.Conf, "CHECK"); err != nil {
		return err
	}
	if err := checkPrevResult(req.Conf); err != nil {
		return coded(types.ErrInvalidNetworkConfig, fmt.Errorf("netconf: prevResult: %w", err))
	}
	book, err := v.lock(ctx, req.ContainerID, lockTime)
	if err != nil {
		return err
	}
	defer book.Close()
	record := book.Record()
	entries, err := toCheck(record, req)
	if err != nil {
		return coded(CodeCheck, fmt.Errorf("CHECK of the container %s: %w", req.ContainerID, err))
	}
	devices, err := v.recordedDevices(req, record)
	if err != nil {
		return coded(types.ErrInvalidNetNS, fmt.Errorf("CNI_NETNS: %w", err))
	}
	defer devices.Close()
	delegates := v.Delegates(book.LockFile())
	failed := make([]error, len(entries))
	inParallel(v.Parallel, len(entries), func(i int) {
		netns := netnsOfAdd(entries[i], record.Netns, req.Netns)
		failed[i] = checkEntry(ctx, devices, delegates, call(req.ContainerID, netns, entries[i]), entries[i])
	})
	return errors.Join(failed...)
}

// checkPrevResult: the specification has a runtime bring the result of the ADD. What is checked is what the ledger has, which knows all networks.
func checkPrevResult(conf netconf.Conf) error {
	if conf.PrevResult == nil {
		return errors.New("there is none, and a CHECK needs one")
	}
	_, err := create.Create(conf.CNIVersion, conf.PrevResult)
	return err
}

// toCheck is what the ledger has of what the request is for.
func toCheck(record ledger.Record, req Request) ([]ledger.Entry, error) {
	if req.Args.Hot != nil {
		if err := checkHot(req); err != nil {
			return nil, err
		}
		e, ok := findHot(record, req)
		if !ok || e.Network != req.Args.Hot.Network {
			return nil, fmt.Errorf("the ledger has no attachment to the network %s", req.Args.Hot.Network)
		}
		return []ledger.Entry{e}, nil
	}
	if _, ok := record.Find(req.Device); !ok || record.Device != req.Device {
		return nil, fmt.Errorf("the ledger has no default network on %s", req.Device)
	}
	return record.Attachments, nil
}

// recordedDevices opens the network namespace that the request names, where it is the one that the attachments were made in.
func (v *Verbs) recordedDevices(req Request, record ledger.Record) (Devices, error) {
	netns, err := ledger.Identify(req.Netns)
	if err != nil {
		return nil, err
	}
	if !netns.Same(record.Netns) {
		return nil, fmt.Errorf("%s is not the network namespace in which the container's attachments were made (%s)", req.Netns, record.Netns.Path)
	}
	return v.Devices(req.Netns)
}

// netnsOfAdd is the path by which the ADD of e named the namespace, since plugins compare it with their result; the request's, where that path leads
// elsewhere by now. The runtime and a node agent may have different paths for one namespace.
func netnsOfAdd(e ledger.Entry, recorded ledger.Netns, requested string) string {
	current, err := cniresult.Current(e.Result)
	if err != nil {
		return requested
	}
	for _, i := range current.Interfaces {
		if i.Name != e.Device || i.Sandbox == "" {
			continue
		}
		if netns, err := ledger.Identify(i.Sandbox); err == nil && netns.Same(recorded) {
			return i.Sandbox
		}
	}
	return requested
}

func checkEntry(ctx context.Context, devices Devices, delegates Delegates, c delegate.Call, e ledger.Entry) error {
	if err := checkDevice(devices, e); err != nil {
		return coded(CodeCheck, fmt.Errorf("network %s: %w", e.Network, err))
	}
	if err := delegates.Check(ctx, c); err != nil {
		return fmt.Errorf("network %s: %w", e.Network, err)
	}
	return nil
}

func checkDevice(devices Devices, e ledger.Entry) error {
	mac, err := devices.MAC(e.Device)
	switch {
	case e.State != ledger.Attached:
		return fmt.Errorf("%s is half made", e.Device)
	case e.Failures > 0:
		return fmt.Errorf("%s may be half undone: a DEL of it did not work: %s", e.Device, e.LastFailure)
	case err != nil:
		return err
	case e.MAC != "" && mac != e.MAC:
		return fmt.Errorf("%s has the MAC address %s, and not %s, which was asked for", e.Device, mac, e.MAC)
	}
	return nil
}
