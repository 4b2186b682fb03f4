package kactustest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// NodeName returns the name of the Node that the tenant's Pods are on.
func (tn *Tenant) NodeName() string { return fmt.Sprintf("node-%d", tn.Number) }

// NodeAgentCommand returns the command of a kactus agent of the tenant's node, with the netconf as
// it is now.
func (tn *Tenant) NodeAgentCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	confDir := filepath.Join(tn.Dir, "net.d")
	Must(t, os.MkdirAll(confDir, 0o755))
	Must(t, os.WriteFile(filepath.Join(confDir, "00-kactus.conf"), Encode(t, tn.Conf), 0o600))
	return exec.Command(KactusPath(), append([]string{
		"agent", "-node", tn.NodeName(), "-kubeconfig", tn.NewKubeconfig(t, "node-agent", NodeAgentToken),
		"-conf-dir", confDir, "-bin-dir", strings.Join(tn.Path, ":"), "-listen", "",
	}, args...)...)
}

// StartNodeAgent starts a kactus agent. If the test ends first, the process is killed.
func (tn *Tenant) StartNodeAgent(t *testing.T, args ...string) *Process {
	t.Helper()
	p := StartCommand(t, tn.NodeAgentCommand(t, args...))
	t.Cleanup(func() {
		if t.Failed() {
			_ = p.Cmd.Process.Kill()
			<-p.Exited
			t.Logf("kactus agent: %s", p.Stderr.String())
		}
	})
	return p
}

// NewPodWith creates a Pod with these annotations, and with more in its spec than a container.
func (tn *Tenant) NewPodWith(t *testing.T, annotations map[string]string, spec map[string]any) *Pod {
	t.Helper()
	p := tn.NewAbsentPod(t)
	p.create(t, annotations, spec)
	return p
}

// Replace deletes the Pod and creates one of the same name, with another UID and a new sandbox, and
// returns what there was. The apiserver alone knows of it.
func (p *Pod) Replace(t *testing.T, networks string) (old *Pod) {
	t.Helper()
	was := *p
	Delete(t, PodsPath(p.Namespace), p.Name)
	p.create(t, map[string]string{"networks": networks}, nil)
	p.NewSandbox(t)
	return &was
}

func (p *Pod) create(t *testing.T, annotations map[string]string, spec map[string]any) {
	t.Helper()
	object := PodObject(p.Name, annotations)
	all := object.Spec.(map[string]any)
	all["nodeName"] = p.NodeName()
	maps.Copy(all, spec)
	p.UID = Create(t, PodsPath(p.Namespace), object).Metadata.UID
}

// Annotate sets the Pod's annotation networks.
func (p *Pod) Annotate(t *testing.T, networks string) {
	t.Helper()
	Must(t, p.TryAnnotate(t.Context(), map[string]any{"networks": networks}))
}

// TryAnnotate sets the Pod's annotations of these keys, and removes those whose value is nil, which
// an apiserver under load may refuse.
func (p *Pod) TryAnnotate(ctx context.Context, annotations map[string]any) error {
	const mediaType = "application/merge-patch+json"
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	status, answer, err := suite.controlPlane.Do(ctx, http.MethodPatch, p.path(), mediaType, patch)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("PATCH %s: status %d: %s", p.path(), status, answer)
	}
	return err
}

// Unannotate removes the Pod's annotation networks.
func (p *Pod) Unannotate(t *testing.T) {
	t.Helper()
	Patch(t, p.path(), `{"metadata": {"annotations": {"networks": null}}}`)
}

func (p *Pod) path() string { return PodsPath(p.Namespace) + "/" + p.Name }

// EventuallyAttached waits until the Pod has exactly these interfaces, besides lo, and its record
// has an attachment for each, and no other. An interface that is there before the operation ends is
// not yet in the record.
func (p *Pod) EventuallyAttached(t *testing.T, want ...string) {
	t.Helper()
	if !Poll(t.Context(), func() bool { return p.IsAttached(t, want...) }) {
		t.Fatalf("%s has the interfaces %q, and in the ledger %q; want %q",
			p.Name, slices.Sorted(maps.Keys(p.Links(t))), p.attached(), want)
	}
}

// IsAttached reports whether the Pod is as [Pod.EventuallyAttached] waits for.
func (p *Pod) IsAttached(t *testing.T, want ...string) bool {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	return slices.Equal(p.attached(), want) && slices.Equal(slices.Sorted(maps.Keys(p.Links(t))), want)
}

// attached returns the interface names of the attachments in the Pod's record, in order. Those that
// are not whole are followed by their state.
func (p *Pod) attached() []string {
	var record Record
	data, err := os.ReadFile(p.RecordPath())
	if err != nil || json.Unmarshal(data, &record) != nil {
		return nil
	}
	var names []string
	for _, a := range record.Attachments {
		if a.State != "attached" {
			a.IfName += " " + a.State
		}
		names = append(names, a.IfName)
	}
	slices.Sort(names)
	return names
}

// Indices returns the kernel's indices of the Pod's interfaces, by name.
func (p *Pod) Indices(t *testing.T) map[string]int {
	t.Helper()
	indices := map[string]int{}
	for name, link := range p.Links(t) {
		indices[name] = link.Attrs().Index
	}
	return indices
}

// ExpectKept fails the test unless the Pod still has these interfaces of before, and not others
// of the same names.
func (p *Pod) ExpectKept(t *testing.T, before map[string]int, ifNames ...string) {
	t.Helper()
	now := p.Indices(t)
	for _, name := range ifNames {
		if before[name] == 0 || before[name] != now[name] {
			t.Errorf("%s has the index %d; want %d, as before", name, now[name], before[name])
		}
	}
}

// Condition is a condition of a Pod.
type Condition struct{ Type, Status, Reason, Message, LastTransitionTime string }

// NetworksAttached returns the condition that kactus agent sets; the zero value if there is none.
func (p *Pod) NetworksAttached(t *testing.T) Condition {
	t.Helper()
	var pod struct {
		Status struct{ Conditions []Condition }
	}
	Must(t, json.Unmarshal(Do(t, http.MethodGet, p.path(), nil, http.StatusOK), &pod))
	for _, c := range pod.Status.Conditions {
		if c.Type == "kaloom.com/NetworksAttached" {
			return c
		}
	}
	return Condition{}
}

// EventuallyCondition waits until the condition that kactus agent sets has that status and reason.
func (p *Pod) EventuallyCondition(t *testing.T, status, reason string) Condition {
	t.Helper()
	var c Condition
	Eventually(t, "the condition is "+status+" "+reason, func() bool {
		c = p.NetworksAttached(t)
		return c.Status == status && c.Reason == reason
	})
	return c
}

// EventuallyEvent waits until the Pod has an event with that reason and these words in its note,
// and returns it.
func (p *Pod) EventuallyEvent(t *testing.T, reason string, words ...string) Event {
	t.Helper()
	var found Event
	lacks := func(e Event) func(string) bool {
		return func(word string) bool { return !strings.Contains(e.Note, word) }
	}
	Eventually(t, fmt.Sprintf("an event %s with %q", reason, words), func() bool {
		for _, e := range p.Events(t) {
			if e.Reason == reason && !slices.ContainsFunc(words, lacks(e)) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// Event is an event of a Pod.
type Event struct {
	Reason, Note, Type, Action string
	Series                     struct{ Count int }
}

// Events returns the events of the Pod.
func (p *Pod) Events(t *testing.T) []Event {
	t.Helper()
	var list struct {
		Items []struct {
			Event
			Regarding struct{ UID string }
		}
	}
	path := "/apis/events.k8s.io/v1/namespaces/" + p.Namespace + "/events"
	Must(t, json.Unmarshal(Do(t, http.MethodGet, path, nil, http.StatusOK), &list))
	var events []Event
	for _, item := range list.Items {
		if item.Regarding.UID == p.UID {
			events = append(events, item.Event)
		}
	}
	return events
}
