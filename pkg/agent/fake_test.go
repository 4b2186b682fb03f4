package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// fakeNode is a node and an apiserver in memory, with one Pod, app1, to inject faults.
type fakeNode struct {
	t     *testing.T
	agent *Agent

	mu         sync.Mutex
	pod        kube.WatchedPod
	records    map[string]ledger.Record
	busy       bool
	missing    []string
	calls      []string
	fail       func(Call) error // before the call changes anything
	idle       bool             // calls succeed, and change nothing
	watchError error            // of the ledger
	eventTime  time.Duration
	writeError error
	writeTime  time.Duration // of a status
	refuse     func(kube.StatusPatch) error
	patches    []kube.StatusPatch // with those that failed
	ended      bool               // the network namespaces have
	reclaimed  int
	conditions []kube.Condition
	events     []kube.Event
	series     []kube.Series
}

// newNode returns a node whose Pod has those networks attached, beside the default network.
func newNode(t *testing.T, annotation string, networks ...string) *fakeNode {
	n := &fakeNode{t: t, records: map[string]ledger.Record{}}
	n.pod.Namespace, n.pod.Name, n.pod.UID, n.pod.ResourceVersion = "tenant", "app1", "uid-1", "1"
	n.pod.Status.PodIP = "10.0.0.1"
	n.pod.Annotations = map[string]string{network.Annotation: annotation}
	record := ledger.Record{
		ContainerID: "sandbox", Netns: netns.ID{Path: "/run/netns/a", Inode: 1, BootID: "b"}, IfName: "eth0",
		Pod:         podargs.Pod{Namespace: "tenant", Name: "app1", UID: "uid-1"},
		Attachments: []ledger.Attachment{fakeAttachment("pod-net", "", "eth0", false)},
	}
	for _, name := range networks {
		record.Attachments = append(record.Attachments,
			fakeAttachment(name, "tenant", network.DeviceName(name), false))
	}
	n.records["sandbox"] = record
	n.agent = &Agent{
		Options: Options{Node: "node1", Repair: true, RepairEvery: time.Hour},
		Pods:    n, API: n, Ledger: n, Kernel: n, Kactus: n, Metrics: NewMetrics(), Log: slog.New(slog.DiscardHandler),
	}
	n.agent.Init()
	t.Cleanup(n.agent.queue.ShutDown)
	t.Cleanup(n.agent.reporter.queue.ShutDown)
	return n
}

func fakeAttachment(name, namespace, ifName string, hot bool) ledger.Attachment {
	return ledger.Attachment{
		Attachment: plan.Attachment{Network: name, Namespace: namespace, IfName: ifName},
		State:      ledger.Attached, Hot: hot, Created: time.Now(), Result: json.RawMessage(`{"cniVersion": "1.0.0"}`),
	}
}

// start runs the agent until the test ends.
func (n *fakeNode) start() {
	ctx, cancel := context.WithCancel(n.t.Context())
	ended := make(chan struct{})
	go func() {
		n.agent.Run(ctx)
		close(ended)
	}()
	n.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// change changes the Pod as another client of the apiserver does.
func (n *fakeNode) change(change func(*kube.WatchedPod)) {
	n.mu.Lock()
	n.pod = *n.pod.DeepCopyObject().(*kube.WatchedPod)
	n.pod.ResourceVersion += "1"
	change(&n.pod)
	n.mu.Unlock()
	n.agent.Changed("tenant", "app1")
}

func (n *fakeNode) annotate(annotation string) {
	n.change(func(pod *kube.WatchedPod) { pod.Annotations[network.Annotation] = annotation })
}

func (n *fakeNode) Pod(namespace, name string) *kube.WatchedPod {
	n.mu.Lock()
	defer n.mu.Unlock()
	if namespace != n.pod.Namespace || name != n.pod.Name {
		return nil
	}
	pod := n.pod
	return &pod
}

func (n *fakeNode) Pods() []*kube.WatchedPod { return []*kube.WatchedPod{n.Pod("tenant", "app1")} }

// PatchStatus changes the Pod as the apiserver does.
func (n *fakeNode) PatchStatus(_ context.Context, _, _ string, p kube.StatusPatch) (kube.PatchedStatus, error) {
	time.Sleep(n.writeTime)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.patches = append(n.patches, p)
	if n.refuse != nil {
		if err := n.refuse(p); err != nil {
			return kube.PatchedStatus{}, err
		}
	}
	switch {
	case n.writeError != nil:
		return kube.PatchedStatus{}, n.writeError
	case p.UID != string(n.pod.UID):
		return kube.PatchedStatus{}, &kube.Error{Doing: "PATCH", Status: 422, Cause: errors.New("immutable")}
	case p.ResourceVersion != "" && p.ResourceVersion != n.pod.ResourceVersion:
		return kube.PatchedStatus{}, &kube.Error{Doing: "PATCH", Status: 409, Cause: errors.New("modified")}
	}
	n.pod = *n.pod.DeepCopyObject().(*kube.WatchedPod)
	n.pod.ResourceVersion += "0"
	if p.Condition != nil {
		n.conditions = append(n.conditions, *p.Condition)
		n.pod.Status.Conditions = []kube.Condition{*p.Condition}
	}
	if p.NetworkStatus != nil {
		n.pod.Annotations[nettypes.NetworkStatusAnnot] = *p.NetworkStatus
	}
	return kube.PatchedStatus{
		ResourceVersion: n.pod.ResourceVersion, NetworkStatus: n.pod.Annotations[nettypes.NetworkStatusAnnot],
	}, nil
}

func (n *fakeNode) CreateEvent(ctx context.Context, e kube.Event) error {
	sleep(ctx, n.eventTime)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
	return n.writeError
}

func (n *fakeNode) RepeatEvent(_ context.Context, _, _ string, s kube.Series) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.series = append(n.series, s)
	return n.writeError
}

func (n *fakeNode) Records() iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		n.mu.Lock()
		records := []ledger.Record{}
		for _, r := range n.records {
			records = append(records, r)
		}
		n.mu.Unlock()
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (n *fakeNode) Heads() iter.Seq2[ledger.Head, error] {
	return func(yield func(ledger.Head, error) bool) {
		for r := range n.Records() {
			if !yield(ledger.Head{ContainerID: r.ContainerID, Pod: r.Pod}, nil) {
				return
			}
		}
	}
}

func (n *fakeNode) ReadHead(id string) (ledger.Head, error) {
	r, err := n.ReadRecord(id)
	return ledger.Head{ContainerID: id, Pod: r.Pod}, err
}

func (n *fakeNode) ReadRecord(id string) (ledger.Record, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, ok := n.records[id]
	if !ok {
		return r, fs.ErrNotExist
	}
	r.Attachments = slices.Clone(r.Attachments)
	return r, nil
}

func (n *fakeNode) Busy(string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.busy
}

func (n *fakeNode) Watch(ctx context.Context, started func(), _ func(string)) error {
	n.mu.Lock()
	err := n.watchError
	n.mu.Unlock()
	if err != nil {
		return err
	}
	started()
	<-ctx.Done()
	return nil
}

func (n *fakeNode) Identify(path string) (netns.ID, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended {
		return netns.ID{}, fs.ErrNotExist
	}
	return netns.ID{Path: path, Inode: 1, BootID: "b"}, nil
}

func (n *fakeNode) Interfaces(path string) (interfaces []netns.Interface, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.records {
		for _, a := range r.Attachments {
			if r.Netns.Path == path && !slices.Contains(n.missing, a.IfName) {
				interfaces = append(interfaces, netns.Interface{Name: a.IfName})
			}
		}
	}
	return interfaces, nil
}

func (n *fakeNode) Netconf() (Netconf, error) {
	return Netconf{Stdin: []byte(`{"type": "kactus"}`), Conf: newConf(n.t, "")}, nil
}

func (n *fakeNode) Reclaim(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reclaimed++
	return nil
}

// Run changes the record as kactus does.
func (n *fakeNode) Run(_ context.Context, call Call) error {
	name := call.Args[strings.Index(call.Args, "K8S_POD_NETWORK=")+len("K8S_POD_NETWORK="):]
	name, _, _ = strings.Cut(name, ";")
	n.mu.Lock()
	n.calls = append(n.calls, call.Command+" "+name)
	fail := n.fail
	n.mu.Unlock()
	if fail != nil {
		if err := fail(call); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.idle {
		return nil
	}
	r := n.records[call.ContainerID]
	r.Attachments = slices.DeleteFunc(slices.Clone(r.Attachments), func(a ledger.Attachment) bool {
		return a.IfName == call.IfName
	})
	if call.Command == "ADD" {
		r.Attachments = append(r.Attachments, fakeAttachment(name, "tenant", call.IfName, true))
		n.missing = slices.DeleteFunc(n.missing, func(ifName string) bool { return ifName == call.IfName })
	}
	n.records[call.ContainerID] = r
	return nil
}

// took returns the hot operations until now, and forgets them.
func (n *fakeNode) took() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	calls := strings.Join(n.calls, ", ")
	n.calls = nil
	return calls
}

// condition returns the Pod's condition as "STATUS REASON: MESSAGE".
func (n *fakeNode) condition() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.pod.Status.Conditions {
		return c.Status + " " + c.Reason + ": " + c.Message
	}
	return ""
}

// told returns the reasons of the events until now, and forgets them.
func (n *fakeNode) told() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var reasons []string
	for _, e := range n.events {
		reasons = append(reasons, e.Reason)
	}
	n.events = nil
	return strings.Join(reasons, ", ")
}

// networks returns the entries of the annotation network-status, such as "pod-net eth0".
func (n *fakeNode) networks() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var entries []statusEntry
	if err := json.Unmarshal([]byte(n.pod.Annotations[nettypes.NetworkStatusAnnot]), &entries); err != nil {
		return err.Error()
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name+" "+e.Interface)
	}
	return strings.Join(all, ", ")
}

// patched returns how many requests there were to change the Pod's status, and forgets them.
func (n *fakeNode) patched() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := len(n.patches)
	n.patches = nil
	return count
}
