package meta

import (
	"context"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sync/errgroup"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// Add runs ADD (CNI specification, section 2): of a whole Pod, or, where the request is for a hot network, of that one
// alone. The result is the default network's, or that network's. When it fails, what it made is undone, and what could not be is in the
// ledger for a DEL. The error is a *types.Error.
func (v *Verbs) Add(ctx context.Context, req Request) (types.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, addTime, fmt.Errorf("an ADD may take %s", addTime))
	defer cancel()
	var result types.Result
	var err error
	if req.Args.Hot != nil {
		result, err = v.addHot(ctx, req)
	} else {
		result, err = v.addPod(ctx, req)
	}
	if err != nil {
		return nil, asCNI(err)
	}
	return result, nil
}

func (v *Verbs) addPod(ctx context.Context, req Request) (types.Result, error) {
	netns, book, err := v.begin(ctx, req)
	if err != nil {
		return nil, err
	}
	defer book.Close()
	if known := book.Record().Attachments; len(known) > 0 {
		return nil, coded(CodeAttached, fmt.Errorf("ADD of the container %s: it has %s already, which an ADD leaves alone: DEL it first",
			req.ContainerID, devices(known)))
	}
	attachments, err := v.planPod(ctx, req)
	if err != nil {
		return nil, err
	}
	return v.attach(ctx, book, req, netns, attachments)
}

// begin sees whom an ADD is for, and takes the container's lock.
func (v *Verbs) begin(ctx context.Context, req Request) (ledger.Netns, Book, error) {
	if err := req.Args.Pod.Validate(); err != nil {
		return ledger.Netns{}, nil, coded(types.ErrInvalidEnvironmentVariables, fmt.Errorf("CNI_ARGS: %w", err))
	}
	netns, err := podNetns(req.Netns)
	if err != nil {
		return ledger.Netns{}, nil, err
	}
	book, err := v.lock(ctx, req.ContainerID, lockTime)
	return netns, book, err
}

// planPod asks the apiserver what the Pod is to have.
func (v *Verbs) planPod(ctx context.Context, req Request) ([]plan.Attachment, error) {
	ctx, cancel := askingTime(ctx, req)
	defer cancel()
	api, err := v.API()
	if err != nil {
		return nil, err
	}
	id := req.Args.Pod
	pod, err := api.Pod(ctx, id.Namespace, id.Name)
	if err != nil {
		return nil, err
	}
	if err := checkIdentity(id, pod); err != nil {
		return nil, err
	}
	selections, err := network.ParseSelections(pod.Annotations[network.Annotation])
	if err != nil {
		return nil, coded(types.ErrInvalidNetworkConfig, fmt.Errorf("the annotation %s of the Pod %s/%s: %w", network.Annotation, id.Namespace, id.Name, err))
	}
	choices, err := findNetworks(ctx, api, req, selections)
	if err != nil {
		return nil, err
	}
	attachments, err := plan.Pod(req.Conf, req.Device, choices)
	if err != nil {
		return nil, coded(types.ErrInvalidNetworkConfig, err)
	}
	return attachments, nil
}

// askingTime bounds what the apiserver may take for all that an ADD asks it.
func askingTime(ctx context.Context, req Request) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, req.Conf.APITimeout, fmt.Errorf("no answer within %s, the netconf's apiTimeout", req.Conf.APITimeout))
}

// checkIdentity: the runtime's UID of a static Pod is the hash of its file, which its mirror in the apiserver has as an annotation.
func checkIdentity(id podargs.Pod, pod kube.Pod) error {
	const staticPodHash = "kubernetes.io/config.hash"
	if id.UID == "" || id.UID == pod.UID || id.UID == pod.Annotations[staticPodHash] {
		return nil
	}
	return coded(CodeReplaced, fmt.Errorf("ADD of the Pod %s/%s: it was replaced: the runtime starts the one with the UID %s, the apiserver has %s",
		id.Namespace, id.Name, id.UID, pod.UID))
}

// findNetworks reads the Network of each selection, all at once, when it is sure that the Pod may have them.
func findNetworks(ctx context.Context, api API, req Request, selections []network.Selection) ([]plan.Choice, error) {
	namespaces := make([][]string, len(selections))
	for i, s := range selections {
		var err error
		if namespaces[i], err = plan.Namespaces(req.Conf, req.Args.Pod.Namespace, s); err != nil {
			return nil, coded(CodeIsolation, err)
		}
	}
	choices := make([]plan.Choice, len(selections))
	group, ctx := errgroup.WithContext(ctx)
	for i, s := range selections {
		group.Go(func() error {
			n, err := findNetwork(ctx, api, namespaces[i], s.Name)
			choices[i] = plan.Choice{Selection: s, Network: n}
			return err
		})
	}
	return choices, group.Wait()
}

// findNetwork looks in one namespace after the other, as long as the Network is not there.
func findNetwork(ctx context.Context, api API, namespaces []string, name string) (n network.Network, err error) {
	for _, namespace := range namespaces {
		if n, err = api.Network(ctx, namespace, name); !missing(err) {
			return n, err
		}
	}
	return n, fmt.Errorf("there is no Network %s in the namespace %s: %w", name, strings.Join(namespaces, " or "), err)
}

// podNetns identifies the namespace that an ADD is for. It must not be the node's: devices named eth0 are not made there.
func podNetns(path string) (ledger.Netns, error) {
	netns, err := ledger.Identify(path)
	if err != nil {
		return ledger.Netns{}, coded(types.ErrInvalidNetNS, fmt.Errorf("CNI_NETNS: %w", err))
	}
	own, err := ledger.Identify("/proc/self/ns/net")
	if err != nil {
		return ledger.Netns{}, coded(types.ErrInvalidNetNS, err)
	}
	if netns.Same(own) {
		return ledger.Netns{}, coded(types.ErrInvalidNetNS, fmt.Errorf("CNI_NETNS: %s is the network namespace of the node, not of a Pod", path))
	}
	return netns, nil
}

func devices(entries []ledger.Entry) string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Device)
	}
	return strings.Join(names, ", ")
}
