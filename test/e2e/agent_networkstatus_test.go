package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// foreignEntry is an entry of another writer, on an interface that kactus does not know.
func foreignEntry(ifName string) map[string]any {
	return map[string]any{"name": "other/" + ifName, "interface": ifName, "org.foo.key": map[string]any{"a": 1}}
}

func withForeign(ifName string) func([]any) []any {
	return func(entries []any) []any { return append(entries, foreignEntry(ifName)) }
}

// expectStatus fails the test unless the entry has what the kernel has of the interface.
func expectStatus(t *testing.T, p *kactustest.Pod, entry nettypes.NetworkStatus, name string, isDefault bool) {
	t.Helper()
	var ips []string
	for _, addr := range p.Addrs(t, entry.Interface) {
		ip, _, _ := strings.Cut(addr, "/")
		ips = append(ips, ip)
	}
	want := nettypes.NetworkStatus{
		Name: name, Interface: entry.Interface, IPs: ips, Mac: p.MAC(t, entry.Interface),
		Mtu: p.Link(t, entry.Interface).Attrs().MTU, Default: isDefault, Gateway: gatewaysBy(t, p, entry.Interface),
	}
	if !reflect.DeepEqual(entry, want) {
		t.Errorf("entry %+v; want %+v", entry, want)
	}
}

// gatewaysBy returns the gateways of the Pod's default routes through an interface.
func gatewaysBy(t *testing.T, p *kactustest.Pod, ifName string) (gateways []string) {
	t.Helper()
	link := p.Link(t, ifName)
	p.InNetns(t, func(h *netlink.Handle) {
		routes, err := h.RouteList(link, netlink.FAMILY_V4)
		kactustest.Must(t, err)
		for _, r := range routes {
			if ones, _ := r.Dst.Mask.Size(); ones == 0 {
				gateways = append(gateways, r.Gw.String())
			}
		}
	})
	return gateways
}

func TestAgent_NetworkStatus(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.SetDelegates(`{"masterPlugin": true, "isDefaultGateway": true, ` + tn.BridgeConfig(t, "eth") + `}`)
	tn.CreateBridgeNetworks(t, "green", "data")
	p := newRunningPod(t, tn, `[{"name":"green","ifMac":"`+tn.UniqueMAC(1)+`"}]`)
	tn.StartNodeAgent(t)
	entries := p.EventuallyNetworkStatus(t, "eth0", green)
	expectStatus(t, p, entries[0], kactustest.DefaultNetwork, true)
	if len(entries[0].Gateway) != 1 {
		t.Errorf("gateways %q of the default network; want one", entries[0].Gateway)
	}
	expectStatus(t, p, entries[1], tn.Namespace+"/green", false)

	p.Annotate(t, `[{"name":"green","ifMac":"`+tn.UniqueMAC(1)+`"},{"name":"data"}]`)
	entries = p.EventuallyNetworkStatus(t, "eth0", green, data)
	expectStatus(t, p, entries[2], tn.Namespace+"/data", false)
	p.Annotate(t, `[{"name":"data"}]`)
	entries = p.EventuallyNetworkStatus(t, "eth0", data)
	expectStatus(t, p, entries[1], tn.Namespace+"/data", false)
	p.Unannotate(t)
	p.EventuallyNetworkStatus(t, "eth0")
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_NetworkStatusOfALostInterface(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	agent := tn.StartNodeAgent(t, often, "-repair=false")
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	p.EventuallyNetworkStatus(t, "eth0", green)
	p.DeleteLink(t, green)
	p.EventuallyNetworkStatus(t, "eth0")
	agent.Signal(t, syscall.SIGTERM)
	<-agent.Exited
	tn.StartNodeAgent(t, often)
	entries := p.EventuallyNetworkStatus(t, "eth0", green)
	expectStatus(t, p, entries[1], tn.Namespace+"/green", false)
	p.Del(t)
	p.ExpectGone(t)
}

// An agent that starts has no other source than the annotation itself of what an earlier one wrote.
func TestAgent_NetworkStatusAfterAHotDelByHand(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "data")
	p := newRunningPod(t, tn, `[{"name":"green"},{"name":"data"}]`)
	once := func() {
		t.Helper()
		if _, stderr, code := run(t, tn.NodeAgentCommand(t, "-once")); code != 0 {
			t.Fatalf("exit status %d: %s", code, stderr)
		}
	}
	once()
	p.EventuallyNetworkStatus(t, "eth0", green, data)
	p.ChangeNetworkStatus(t, withForeign("ext0"))
	p.HotDel(t, "data")
	p.Annotate(t, `[{"name":"green"}]`)
	once()
	p.EventuallyNetworkStatus(t, "eth0", green, "ext0")
	kactustest.ExpectSame(t, "requests, with nothing to tell",
		kactustest.AgentRequests(t, tn.Namespace, once), nil)
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_NetworkStatusWithAnotherWriter(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "data")
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	address := fmt.Sprintf("127.0.0.1:%d", 20000+tn.Number)
	tn.StartNodeAgent(t, "-listen", address)
	const foreign, edits = 60, 10
	var writing sync.WaitGroup
	writing.Go(func() {
		conflicts := 0
		for i := range foreign {
			conflicts += p.ChangeNetworkStatus(t, withForeign(fmt.Sprintf("ext%d", i)))
		}
		t.Logf("the other writer had %d conflicts in %d writes", conflicts, foreign)
	})
	for range edits {
		p.Annotate(t, `[{"name":"green"},{"name":"data"}]`)
		p.EventuallyAttached(t, "eth0", green, data)
		p.Annotate(t, `[{"name":"green"}]`)
		p.EventuallyAttached(t, "eth0", green)
	}
	writing.Wait()
	kactustest.Eventually(t, "all entries are there, and none besides", func() bool {
		var ours, others []string
		for _, e := range p.NetworkStatus(t) {
			if strings.HasPrefix(e.Name, "other/") {
				others = append(others, e.Interface)
			} else {
				ours = append(ours, e.Interface)
			}
		}
		return slices.Equal(ours, []string{"eth0", green}) && len(others) == foreign &&
			others[0] == "ext0" && others[foreign-1] == fmt.Sprintf("ext%d", foreign-1)
	})
	_, metrics := get(t, "http://"+address+"/metrics")
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "kactus_agent_writes_total") {
			t.Log(strings.TrimSpace(line))
		}
	}
	p.Del(t)
	p.ExpectGone(t)
}

func TestAgent_NetworkStatusThatNobodyCanRead(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	p := newRunningPod(t, tn, noAnnotation)
	for _, value := range []string{`{`, `"text"`, `[7]`} {
		kactustest.Patch(t, kactustest.PodsPath(tn.Namespace)+"/"+p.Name,
			fmt.Sprintf(`{"metadata": {"annotations": {%q: %q}}}`, statusAnnotation, value))
		_, stderr, code := run(t, tn.NodeAgentCommand(t, "-once"))
		if code != 0 {
			t.Fatalf("exit status %d: %s", code, stderr)
		}
		expectWords(t, stderr, "cannot be decoded", p.Name)
		p.EventuallyNetworkStatus(t, "eth0")
	}
	p.Del(t)
}

// forbidStatus makes the apiserver forbid the annotation in a namespace, until the returned
// function is called.
func forbidStatus(t *testing.T, namespace string, path string) (allow func()) {
	t.Helper()
	name := "no-status-" + namespace
	const policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
	object := func(kind string, spec map[string]any) []byte {
		return kactustest.Encode(t, kactustest.Object{
			APIVersion: "admissionregistration.k8s.io/v1", Kind: kind,
			Metadata: kactustest.Metadata{Name: name}, Spec: spec,
		})
	}
	kactustest.Do(t, http.MethodPost, policies+"ies", object("ValidatingAdmissionPolicy", map[string]any{
		"matchConstraints": map[string]any{
			"namespaceSelector": map[string]any{
				"matchLabels": map[string]string{"kubernetes.io/metadata.name": namespace},
			},
			"resourceRules": []any{map[string]any{
				"apiGroups": []string{""}, "apiVersions": []string{"v1"}, "operations": []string{"UPDATE"},
				"resources": []string{"pods/status"},
			}},
		},
		"validations": []any{map[string]string{
			"expression": "!has(object.metadata.annotations) || " +
				"!('" + statusAnnotation + "' in object.metadata.annotations)",
			"reason": "Forbidden",
		}},
	}), http.StatusCreated)
	kactustest.Do(t, http.MethodPost, policies+"ybindings", object("ValidatingAdmissionPolicyBinding", map[string]any{
		"policyName": name, "validationActions": []string{"Deny"},
	}), http.StatusCreated)
	kactustest.Eventually(t, "the policy is enforced", func() bool {
		status, _, err := kactustest.ControlPlane().Do(t.Context(), http.MethodPatch, path+"/status?dryRun=All",
			mergePatch, []byte(ofAnnotations(ownAnnotation)))
		return err == nil && status == http.StatusForbidden
	})
	allow = sync.OnceFunc(func() {
		kactustest.Do(t, http.MethodDelete, policies+"ybindings/"+name, nil, http.StatusOK)
		kactustest.Do(t, http.MethodDelete, policies+"ies/"+name, nil, http.StatusOK)
	})
	t.Cleanup(func() { allow() })
	return allow
}

func TestAgent_NetworkStatusThatIsForbidden(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "data")
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	allow := forbidStatus(t, tn.Namespace, kactustest.PodsPath(tn.Namespace)+"/"+p.Name)
	address := fmt.Sprintf("127.0.0.1:%d", 20000+tn.Number)
	tn.StartNodeAgent(t, "-listen", address)
	p.EventuallyCondition(t, "True", "Attached")
	before := p.Indices(t)
	p.Annotate(t, `[{"name":"green"},{"name":"data"}]`)
	p.EventuallyAttached(t, "eth0", green, data)
	p.ExpectKept(t, before, "eth0", green)
	kactustest.Eventually(t, "the condition tells of both networks", func() bool {
		return p.NetworksAttached(t).Message == "2 networks are attached"
	})
	if got := p.NetworkStatus(t); got != nil {
		t.Errorf("network-status %+v", got)
	}
	_, metrics := get(t, "http://"+address+"/metrics")
	expectWords(t, metrics, `kactus_agent_writes_total{object="network-status",result="error"}`)
	allow()
	p.EventuallyNetworkStatus(t, "eth0", green, data)
	p.Del(t)
	p.ExpectGone(t)
}

// Thousands of agents may start at once, after an update.
func TestAgent_StartWritesNoStatusThatIsRight(t *testing.T) {
	t.Parallel()
	const pods = 250
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green")
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	for range pods - 1 {
		p.CopyRecord(t)
	}
	path := kactustest.PodsPath(tn.Namespace)
	withStatus := func() (count int) {
		var list struct {
			Items []struct {
				Metadata struct{ Annotations map[string]string }
				Status   struct{ Conditions []any }
			}
		}
		kactustest.Must(t, json.Unmarshal(kactustest.Do(t, http.MethodGet, path, nil, http.StatusOK), &list))
		for _, item := range list.Items {
			if item.Metadata.Annotations[statusAnnotation] != "" && len(item.Status.Conditions) > 0 {
				count++
			}
		}
		return count
	}
	requests := kactustest.AgentRequests(t, tn.Namespace, func() {
		agent := tn.StartNodeAgent(t)
		kactustest.Eventually(t, "the status of all Pods is written", func() bool { return withStatus() == pods })
		agent.Signal(t, syscall.SIGTERM)
		<-agent.Exited
	})
	if len(requests) != pods {
		t.Errorf("%d requests at the first start; want one for each of %d Pods", len(requests), pods)
	}
	kactustest.ExpectSame(t, "requests at the next start", kactustest.AgentRequests(t, tn.Namespace, func() {
		if _, stderr, code := run(t, tn.NodeAgentCommand(t, "-once")); code != 0 {
			t.Errorf("exit status %d: %s", code, stderr)
		}
	}), nil)
	p.Del(t)
}
