package metaplugin

import (
	"context"
	"fmt"
	"slices"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podresources"
)

// Kubelet knows which devices it has given to a Pod: a *podresources.Client.
type Kubelet interface {
	Devices(ctx context.Context, namespace, name string) (podresources.Devices, error)
}

// assignDevices gives the attachments that need one a device of the Pod's; used are the Pod's other
// attachments. The kubelet is asked anew at each ADD, and only if a device is needed.
func (p *Plugin) assignDevices(
	ctx context.Context, api API, pod podargs.Pod, attachments []plan.Attachment, used []ledger.Attachment,
) ([]plan.Attachment, error) {
	if !slices.ContainsFunc(attachments, needsDevice) {
		return attachments, nil
	}
	given, err := p.podDevices(ctx, api, pod, attachments)
	if err != nil {
		return nil, err
	}
	others := make([]plan.Attachment, len(used))
	for i, a := range used {
		others[i] = a.Attachment
	}
	assigned, err := plan.AssignDevices(attachments, given, others)
	if err != nil {
		return nil, configError(err)
	}
	return assigned, nil
}

func needsDevice(a plan.Attachment) bool { return a.ResourceName != "" }

// podDevices returns the IDs of the Pod's devices by resource, sorted. Those of resource claims
// count for a resource of which no device plugin has given one.
func (p *Plugin) podDevices(
	ctx context.Context, api API, pod podargs.Pod, attachments []plan.Attachment,
) (map[string][]string, error) {
	devices, err := p.Kubelet.Devices(ctx, pod.Namespace, pod.Name)
	if err != nil {
		return nil, tryLaterError(fmt.Errorf(
			"%w: is the kubelet running, and is that its socket (podResourcesSocket in the netconf)?", err))
	}
	isMissing := func(a plan.Attachment) bool { return needsDevice(a) && len(devices.IDs[a.ResourceName]) == 0 }
	if len(devices.Claimed) == 0 || !slices.ContainsFunc(attachments, isMissing) {
		return devices.IDs, nil
	}
	claimed, err := claimedDevices(ctx, api, pod, devices.Claimed)
	if err != nil {
		return nil, err
	}
	given := map[string][]string{}
	for resource, ids := range claimed {
		slices.Sort(ids)
		given[resource] = slices.Compact(ids)
	}
	for resource, ids := range devices.IDs {
		given[resource] = ids
	}
	return given, nil
}

// claimedDevices returns the IDs, by resource, of those devices of resource claims whose driver
// says that they are for CNI plugins.
func claimedDevices(
	ctx context.Context, api API, pod podargs.Pod, claimed []podresources.ClaimedDevice,
) (map[string][]string, error) {
	node, err := api.PodNode(ctx, pod.Namespace, pod.Name)
	if err != nil {
		return nil, err
	}
	ids := map[string][]string{}
	ofDriver := map[string]map[kube.PooledDevice]kube.NetworkDevice{}
	for _, c := range claimed {
		if _, read := ofDriver[c.Driver]; !read {
			if ofDriver[c.Driver], err = api.NetworkDevices(ctx, c.Driver, node); err != nil {
				return nil, err
			}
		}
		if d, ok := ofDriver[c.Driver][kube.PooledDevice{Pool: c.Pool, Device: c.Device}]; ok {
			ids[d.Resource] = append(ids[d.Resource], d.ID)
		}
	}
	return ids, nil
}
