package kactustest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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

// Annotate sets the Pod's annotation networks.
func (p *Pod) Annotate(t *testing.T, networks string) {
	t.Helper()
	Patch(t, p.path(), fmt.Sprintf(`{"metadata": {"annotations": {"networks": %q}}}`, networks))
}

func (p *Pod) path() string { return PodsPath(p.Namespace) + "/" + p.Name }

// EventuallyInterfaces waits until the Pod has exactly these interfaces, besides lo.
func (p *Pod) EventuallyInterfaces(t *testing.T, want ...string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("the Pod has the interfaces %q", want), func() bool {
		links := p.Links(t)
		for _, name := range want {
			if links[name] == nil {
				return false
			}
		}
		return len(links) == len(want)
	})
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
