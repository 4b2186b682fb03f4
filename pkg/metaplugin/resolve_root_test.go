//go:build root

package metaplugin

import (
	"context"
	"errors"
	"net/http"
	"os"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

// The runtime tries again, and the same trouble must not look like another one each time.
func TestAdd_ReportsTheFirstSelectionThatFails(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	n.selectNetworks("green", "blue", "red")
	// The apiserver answers for blue first, and for green when nobody waits for red anymore.
	ended := make(chan struct{})
	n.api.hold = map[string]func(context.Context){
		"default/red": func(ctx context.Context) {
			<-ctx.Done()
			close(ended)
		},
		"tenant/green": func(ctx context.Context) {
			select {
			case <-ended:
			case <-ctx.Done():
			}
		},
	}
	n.addFails(n.request(n.conf(`{"type": "master"}`)), types.ErrTryAgainLater, "there is no Network green")
	n.expectCalls()
	n.expectNothingLeft()
}

func TestAdd_ErrorsBeforeAnythingIsMade(t *testing.T) {
	const podPath = "/api/v1/namespaces/tenant/pods/app"
	forbidden := &kube.Error{
		Doing: "GET " + podPath, Path: podPath, Status: http.StatusForbidden, Cause: errors.New("no"),
	}
	tests := []struct {
		name  string
		setUp func(n *testNode, req *Request)
		code  uint
		words []string
	}{
		{"no Pod", func(n *testNode, _ *Request) { n.api.noPod = true },
			types.ErrTryAgainLater, []string{podPath, "404"}},
		{"no Network", func(n *testNode, _ *Request) { n.selectNetworks("blue") },
			types.ErrTryAgainLater, []string{"there is no Network blue in the namespace tenant or default"}},
		{"no Network in the namespace of the selection", func(n *testNode, _ *Request) {
			n.api.annotation = `[{"name": "green", "namespace": "default"}]`
		}, types.ErrTryAgainLater, []string{"there is no Network green in the namespace default:"}},
		{"the apiserver refuses", func(n *testNode, _ *Request) { n.api.err = forbidden },
			CodeAPI, []string{"403 Forbidden"}},
		{"no kubeconfig", func(n *testNode, _ *Request) {
			n.plugin.API = func() (API, error) { return nil, &kube.Error{Doing: "read it", Cause: os.ErrNotExist} }
		}, CodeAPI, nil},
		{"a replaced Pod", func(n *testNode, req *Request) { n.api.uid, req.Args.Pod.UID = "new", "old" },
			CodeReplaced, []string{"old", "new"}},
		{"a Network that isolation forbids", func(n *testNode, req *Request) {
			req.Conf.NamespaceIsolation = true
			n.api.annotation = `[{"name": "green", "namespace": "theirs"}]`
		}, CodeIsolation, []string{"theirs/green"}},
		{"an invalid annotation", func(n *testNode, _ *Request) {
			n.api.annotation = `[{"name": "green"}, {"nmae": "x"}]`
		}, types.ErrInvalidNetworkConfig, []string{"annotation networks", "element 1", "nmae"}},
		{"an invalid Network", func(n *testNode, _ *Request) { n.api.networks["tenant/green"] = `{"type": "../x"}` },
			types.ErrInvalidNetworkConfig, []string{"tenant/green", "type"}},
		{"two networks with one interface name", func(n *testNode, _ *Request) {
			n.selectNetworks(twinA, twinB)
		}, types.ErrInvalidNetworkConfig, []string{twinA, twinB, twinIf}},
		{"a missing plugin", func(n *testNode, _ *Request) { n.api.networks["tenant/green"] = `{"type": "nowhere"}` },
			CodeDelegate, []string{"network green", "there is no nowhere in CNI_PATH"}},
		{"a namespace that is missing", func(_ *testNode, req *Request) { req.Netns += "-missing" },
			types.ErrInvalidNetNS, []string{"CNI_NETNS"}},
		{"a file that is not a namespace", func(_ *testNode, req *Request) { req.Netns = "/proc/self/status" },
			types.ErrInvalidNetNS, []string{"CNI_NETNS"}},
		{"the namespace of the node", func(_ *testNode, req *Request) { req.Netns = "/proc/self/ns/net" },
			types.ErrInvalidNetNS, []string{"CNI_NETNS", "of the node"}},
		{"no name of a Pod", func(_ *testNode, req *Request) { req.Args.Pod.Name = "" },
			types.ErrInvalidEnvironmentVariables, []string{"CNI_ARGS", "K8S_POD_NAME"}},
		{"no namespace of a Pod", func(_ *testNode, req *Request) { req.Args.Pod.Namespace = "" },
			types.ErrInvalidEnvironmentVariables, []string{"CNI_ARGS", "K8S_POD_NAMESPACE"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newTestNode(t)
			n.recorder("master")
			n.selectNetworks("green")
			n.api.networks["tenant/green"] = n.bridgeConf(2)
			req := n.request(n.conf(`{"type": "master"}`))
			tt.setUp(n, &req)
			n.addFails(req, tt.code, tt.words...)
			n.expectCalls()
			n.expectNothingLeft()
		})
	}
}

func TestAdd_IsolationAllowsOwnAndSharedNetworks(t *testing.T) {
	n := newTestNode(t)
	n.recorder("plain")
	n.api.annotation = `[{"name": "green"}, {"name": "blue", "namespace": "default"}]`
	n.api.networks["tenant/green"], n.api.networks["default/blue"] = `{"type": "plain"}`, `{"type": "plain"}`
	req := n.request(n.conf(`{"type": "plain"}`, `"namespaceIsolation": true`))
	n.add(req)
	expectEqual(t, "attachments", len(n.record().Attachments), 3)
}
