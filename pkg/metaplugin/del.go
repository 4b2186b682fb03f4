package metaplugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// Del runs DEL (CNI specification, section 2) for a whole Pod, or, where the request is for a hot
// network, for that one alone. It asks the apiserver nothing. The error is a *types.Error.
func (p *Plugin) Del(ctx context.Context, req Request) error {
	ctx, cancel := context.WithTimeoutCause(ctx, delTimeout, fmt.Errorf("the limit of a DEL is %s", delTimeout))
	defer cancel()
	if req.Args.Hot != nil {
		return asCNIOfDel(p.delHotPaced(ctx, req))
	}
	err := p.delPod(ctx, req)
	p.reclaimLeftovers(ctx, req.ContainerID)
	return asCNIOfDel(err)
}

func (p *Plugin) delPod(ctx context.Context, req Request) error {
	start := time.Now()
	locked, _, err := p.lockForDel(ctx, req.ContainerID)
	if err != nil {
		return err
	}
	defer locked.Close()
	locked.Adopt(req.IfName, req.Args.Pod)
	if err := p.adoptMultus(locked, req); err != nil {
		return err
	}
	record := locked.Record()
	if !isDefault(record, req.IfName) {
		return p.delOther(req, record)
	}
	p.closeToHot(req, record)
	netnsPath := p.usableNetns(req.Netns, record)
	delegates := p.Delegates(locked.LockFile())
	failed := p.tearDown(ctx, locked, delegates, teardown{
		containerID:      req.ContainerID,
		netns:            netnsPath,
		attachments:      record.Attachments,
		defaultIfName:    req.IfName,
		auxiliaryTimeout: max(delAuxiliaryTimeout-time.Since(start), time.Second),
		timeout:          max(delTimeout-time.Since(start), time.Second),
		mayOrphan:        true,
	})
	if record.IfName != req.IfName {
		failed = errors.Join(failed, p.delByNetconf(ctx, locked, delegates, req, netnsPath))
	}
	p.retryOrphans(ctx, locked, delegates, req, netnsPath, orphansToReclaim(record))
	return failed
}

// adoptMultus makes what Multus attached the container to a part of its record, so that it is torn
// down like kactus's own: a node may move to kactus while its Pods run.
func (p *Plugin) adoptMultus(locked LockedRecord, req Request) error {
	if locked.Record().IfName != "" {
		return nil
	}
	ns, err := podNetns(req.Netns)
	if err != nil {
		ns, _ = netns.Ended(req.Netns) // without an identity, no GC reclaims what this DEL leaves
	}
	corrupt, err := locked.AdoptMultus(ns, req.IfName, req.Args.Pod)
	if corrupt != nil {
		p.Log.Warn("addresses of the container's networks may be left", "cause", corrupt)
	}
	return storeError(err)
}

// isDefault reports whether the interface is, or may have been, that of the container's default
// network.
func isDefault(record ledger.Record, ifName string) bool {
	if record.IfName == ifName {
		return true
	}
	_, isOther := record.Find(ifName)
	hasDefault := record.IfName != "" && len(record.Attachments) > 0
	return !isOther && !hasDefault
}

// delOther handles a DEL that names another interface than the default network's, and must not tear
// that down: a hot network without its K8S_POD_NETWORK, or what was never attached here.
func (p *Plugin) delOther(req Request, record ledger.Record) error {
	if a, ok := record.Find(req.IfName); ok {
		return environmentError("CNI_IFNAME", fmt.Errorf(
			"DEL of the container %s: %s is the interface of the network %s, not of the default network: "+
				"a hot DEL names the network in CNI_ARGS (K8S_POD_NETWORK)", req.ContainerID, req.IfName, a.Network))
	}
	p.Log.Info("nothing to tear down: the container has no such interface",
		"interface", req.IfName, "default", record.IfName)
	return nil
}

// retryOrphans tries the container's orphans again. They do not hold the container: a failure is
// recorded and logged.
func (p *Plugin) retryOrphans(
	ctx context.Context, locked LockedRecord, delegates Delegates, req Request, netnsPath string,
	orphans []ledger.Attachment,
) {
	if len(orphans) == 0 {
		return
	}
	err := p.tearDown(ctx, locked, delegates, teardown{
		containerID:      req.ContainerID,
		netns:            netnsPath,
		attachments:      orphans,
		auxiliaryTimeout: delTimeout,
		timeout:          delTimeout,
		givenUp:          true,
	})
	if err != nil {
		p.Log.Warn("the DEL of an orphan failed", "cause", err)
	}
}

// delByNetconf runs DEL of the netconf's own delegates, for a container whose default network the
// ledger does not know: there was none, or it was made before kactus was installed, or the ledger
// was lost. What fails is recorded, so that later DELs try it again, until it becomes an orphan.
func (p *Plugin) delByNetconf(
	ctx context.Context, locked LockedRecord, delegates Delegates, req Request, netnsPath string,
) error {
	var failed []error
	record := locked.Record()
	for _, planned := range plan.Default(req.Conf, req.IfName) {
		if _, known := record.Find(planned.IfName); known {
			continue
		}
		a := ledger.Attachment{
			Attachment: planned,
			State:      ledger.Planned,
			Args:       req.Args.Pod.CNIArgs(""),
			Created:    p.Now().UTC(),
		}
		if a.IfName == req.IfName {
			a.Result = p.resultOfRuntime(req, a.Config.CNIVersion)
		}
		tornDown, err := delegates.Del(ctx, call(req.ContainerID, netnsPath, a))
		if err == nil {
			continue
		}
		err = fmt.Errorf("network %s: %w", a.Network, err)
		failed = append(failed, err, p.recordFailure(ctx, locked, req, a, tornDown, err))
	}
	return errors.Join(failed...)
}

// recordFailure makes a record of an attachment that the ledger did not know, and whose DEL failed.
func (p *Plugin) recordFailure(
	ctx context.Context, locked LockedRecord, req Request, a ledger.Attachment, tornDown []int, cause error,
) error {
	ns, err := netns.Identify(req.Netns)
	if err != nil {
		ns, err = netns.Ended(req.Netns)
	}
	if err == nil {
		err = locked.WritePlanned(ctx, ns, req.Args.Pod, req.IfName, []ledger.Attachment{a})
	}
	if err == nil {
		err = locked.MarkFailed(a.IfName, p.Now(), cause, tornDown)
	}
	return storeError(err)
}

// resultOfRuntime returns the result that the runtime passes to a DEL, in that version, for a
// default network whose own result the ledger does not have; nil if there is none.
func (p *Plugin) resultOfRuntime(req Request, cniVersion string) json.RawMessage {
	result, err := req.prevResult()
	if result == nil && err == nil {
		return nil
	}
	var data json.RawMessage
	if err == nil {
		data, err = cniconf.EncodeResult(result, cniVersion)
	}
	if err != nil {
		p.Log.Warn("the delegate gets no result: that of the runtime cannot be used", "cause", err)
		return nil
	}
	return data
}
