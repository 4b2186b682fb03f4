package metaplugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// resolvePod reads from the apiserver what the Pod asks for, and plans its attachments.
func (p *Plugin) resolvePod(ctx context.Context, req Request) ([]plan.Attachment, error) {
	ctx, cancel := apiDeadline(ctx, req)
	defer cancel()
	api, err := p.API()
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
	selections, err := p.parseAnnotations(pod)
	if err != nil {
		return nil, err
	}
	selected, err := p.findNetworks(ctx, api, req, selections)
	if err != nil {
		return nil, err
	}
	attachments, err := plan.Pod(req.Conf, req.IfName, selected)
	if err != nil {
		return nil, planError(err)
	}
	return p.assignDevices(ctx, api, id, attachments, nil)
}

// parseAnnotations returns what the Pod's annotations select.
func (p *Plugin) parseAnnotations(pod kube.Pod) ([]network.Selection, error) {
	selections, warnings, err := network.ParsePod(pod.Annotations)
	for _, w := range warnings {
		p.Log.Warn("an annotation of the Pod is not read whole", "cause", w)
	}
	if wrong := (*network.AnnotationError)(nil); errors.As(err, &wrong) {
		return nil, configError(fmt.Errorf("the annotation %s of the Pod %s/%s: %w",
			wrong.Annotation, pod.Namespace, pod.Name, wrong.Cause))
	}
	return selections, err
}

// resolveHot reads from the apiserver the one Network of a hot ADD, and plans its attachment beside
// what is attached to the Pod.
func (p *Plugin) resolveHot(
	ctx context.Context, req Request, attached []ledger.Attachment,
) ([]plan.Attachment, error) {
	ctx, cancel := apiDeadline(ctx, req)
	defer cancel()
	api, err := p.API()
	if err != nil {
		return nil, err
	}
	selected, err := p.findNetworks(ctx, api, req, []network.Selection{req.selection()})
	if err != nil {
		return nil, err
	}
	attachment, err := plan.Hot(req.Conf, selected[0])
	if err != nil {
		return nil, planError(err)
	}
	return p.assignDevices(ctx, api, req.Args.Pod, []plan.Attachment{attachment}, attached)
}

// apiDeadline bounds all requests of an ADD to the apiserver.
func apiDeadline(ctx context.Context, req Request) (context.Context, context.CancelFunc) {
	limit := req.Conf.APITimeout
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("no response within %s, the netconf's apiTimeout", limit))
}

// checkIdentity reports a Pod that was replaced by another of its name. For a static Pod, the
// runtime's UID is the hash of its file, which its mirror Pod has as an annotation.
func checkIdentity(id podargs.Pod, pod kube.Pod) error {
	const staticPodHash = "kubernetes.io/config.hash"
	if id.UID == "" || id.UID == pod.UID || id.UID == pod.Annotations[staticPodHash] {
		return nil
	}
	return replacedError(fmt.Errorf(
		"ADD of the Pod %s/%s: replaced: the runtime starts the one with the UID %s, the apiserver has %s",
		id.Namespace, id.Name, id.UID, pod.UID))
}

// findNetworks reads the Network of each selection, all at once, once the namespaces of all are
// allowed. Of several errors it returns that of the first selection: the runtime tries again, and
// the same trouble must look the same.
func (p *Plugin) findNetworks(
	ctx context.Context, api API, req Request, selections []network.Selection,
) ([]plan.SelectedNetwork, error) {
	namespaces := make([][]string, len(selections))
	for i, s := range selections {
		var err error
		if namespaces[i], err = plan.Namespaces(req.Conf, req.Args.Pod.Namespace, s); err != nil {
			return nil, err
		}
	}
	selected, errs := make([]plan.SelectedNetwork, len(selections)), make([]error, len(selections))
	var running sync.WaitGroup
	for i, s := range selections {
		own := ctx
		later, cancel := context.WithCancel(ctx)
		defer cancel()
		ctx = later
		running.Go(func() {
			if selected[i], errs[i] = p.findSelected(own, api, req.Conf, namespaces[i], s); errs[i] != nil {
				cancel() // the errors of later selections do not matter anymore
			}
		})
	}
	running.Wait()
	return selected, cmp.Or(errs...)
}

func (p *Plugin) findSelected(
	ctx context.Context, api API, conf netconf.Conf, namespaces []string, s network.Selection,
) (plan.SelectedNetwork, error) {
	n, err := findNetwork(ctx, api, namespaces, s)
	if err == nil && n.NPWG && n.Config == "" {
		n, err = p.withConfigOnDisk(conf, n)
	}
	return plan.SelectedNetwork{Selection: s, Network: n}, err
}

// findNetwork reads the Network of a selection from the first of the namespaces that has it.
func findNetwork(
	ctx context.Context, api API, namespaces []string, s network.Selection,
) (n network.Network, err error) {
	read := api.Network
	if s.NPWG {
		read = api.NetworkAttachmentDefinition
	}
	for _, namespace := range namespaces {
		if n, err = read(ctx, namespace, s.Name); !notFound(err) {
			return n, err
		}
	}
	return n, fmt.Errorf("there is no %s %s in the namespace %s: %w",
		kindOf(s.NPWG), s.Name, strings.Join(namespaces, " or "), err)
}

// kindOf returns the kind of the object that describes a network.
func kindOf(npwg bool) string {
	if npwg {
		return "NetworkAttachmentDefinition"
	}
	return "Network"
}

// withConfigOnDisk returns a NetworkAttachmentDefinition that has no configuration of its own with
// the one of its name on the node (NPWG standard 1.3, section 3.4.1).
func (p *Plugin) withConfigOnDisk(conf netconf.Conf, n network.Network) (network.Network, error) {
	config, path, err := p.FindConfig(conf.ConfDir, n.Name)
	if err != nil {
		return n, configError(fmt.Errorf("the NetworkAttachmentDefinition %s/%s has no spec.config: %w",
			n.Namespace, n.Name, err))
	}
	n.Config, n.Source = string(config), path
	return n, nil
}
