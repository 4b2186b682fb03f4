package meta

import (
	"errors"
	"net/http"
	"os"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
)

func TestAnAddThatCannotBePlannedMakesNothingAndSaysWhy(t *testing.T) {
	refused := &kube.Error{Doing: "GET /api/v1/namespaces/tenant/pods/app", Path: "/api/v1/namespaces/tenant/pods/app", Status: http.StatusForbidden, Cause: errors.New("no")}
	cases := map[string]struct {
		spoil func(n *node, req *Request)
		code  uint
		words []string
	}{
		"no Pod": {func(n *node, _ *Request) { n.api.noPod = true }, types.ErrTryAgainLater, []string{"/api/v1/namespaces/tenant/pods/app", "404"}},
		"no Network": {func(n *node, _ *Request) { n.api.annotation = `[{"name": "blue"}]` }, types.ErrTryAgainLater,
			[]string{"there is no Network blue in the namespace tenant or default"}},
		"no Network in the namespace that was named": {func(n *node, _ *Request) { n.api.annotation = `[{"name": "green", "namespace": "default"}]` },
			types.ErrTryAgainLater, []string{"there is no Network green in the namespace default:"}},
		"refused": {func(n *node, _ *Request) { n.api.err = refused }, CodeAPI, []string{"403 Forbidden"}},
		"no kubeconfig": {func(n *node, _ *Request) {
			n.verbs.API = func() (API, error) { return nil, &kube.Error{Doing: "read it", Cause: os.ErrNotExist} }
		}, CodeAPI, nil},
		"a replaced Pod": {func(n *node, req *Request) { n.api.uid, req.Args.Pod.UID = "new", "old" }, CodeReplaced, []string{"old", "new"}},
		"another namespace": {func(n *node, req *Request) {
			req.Conf.NamespaceIsolation = true
			n.api.annotation = `[{"name": "green", "namespace": "theirs"}]`
		}, CodeIsolation, []string{"theirs/green"}},
		"a bad annotation": {func(n *node, _ *Request) { n.api.annotation = `[{"name": "green"}, {"nmae": "x"}]` }, types.ErrInvalidNetworkConfig, []string{"annotation networks", "element 1", "nmae"}},
		"a bad Network":    {func(n *node, _ *Request) { n.api.networks["tenant/green"] = `{"type": "../x"}` }, types.ErrInvalidNetworkConfig, []string{"tenant/green", "type"}},
		"one device for two": {func(n *node, _ *Request) {
			n.api.annotation = `[{"name": "n-009b5fbe0257"}, {"name": "n-ee6b99c6809e"}]`
		}, types.ErrInvalidNetworkConfig, []string{"n-009b5fbe0257", "n-ee6b99c6809e", "netc78e9611f93e"}},
		"no namespace":         {func(_ *node, req *Request) { req.Netns += "-missing" }, types.ErrInvalidNetNS, []string{"CNI_NETNS"}},
		"not a namespace":      {func(_ *node, req *Request) { req.Netns = "/proc/self/status" }, types.ErrInvalidNetNS, []string{"CNI_NETNS"}},
		"the node's namespace": {func(_ *node, req *Request) { req.Netns = "/proc/self/ns/net" }, types.ErrInvalidNetNS, []string{"CNI_NETNS", "of the node"}},
		"no Pod's name":        {func(_ *node, req *Request) { req.Args.Pod.Name = "" }, types.ErrInvalidEnvironmentVariables, []string{"K8S_POD_NAME"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.diary("master")
			n.api.annotation = `[{"name": "green"}]`
			n.api.networks["tenant/green"] = n.bridged(2)
			req := n.request(n.conf(`{"type": "master"}`))
			c.spoil(n, &req)
			n.addFails(req, c.code, c.words...)
			same(t, "diary", n.read("diary"), "")
			n.nothingLeft()
		})
	}
}

func TestAPodsUIDIsTheOneThatTheAPIServerHasOrItsFilesHash(t *testing.T) {
	n := newNode(t)
	n.diary("master")
	n.api.uid, n.api.hash = "uid", "hash"
	req := n.request(n.conf(`{"type": "master"}`))
	for _, uid := range []string{"uid", "hash", ""} {
		req.Args.Pod.UID = uid
		n.add(req)
		n.del(req)
	}
}

func TestADelegatesWishToBeTriedAgainReachesTheRuntime(t *testing.T) {
	n := newNode(t)
	n.plugin("busy", `[ $CNI_COMMAND = DEL ] && exit 0; echo '{"code": 11, "msg": "later"}'; exit 1`)
	n.addFails(n.request(n.conf(`{"type": "busy"}`)), types.ErrTryAgainLater, "later")
	n.nothingLeft()
}

func TestIsolationLeavesAPodItsOwnNetworksAndTheSharedOnes(t *testing.T) {
	n := newNode(t)
	n.diary("plain")
	n.api.annotation = `[{"name": "green"}, {"name": "blue", "namespace": "default"}]`
	n.api.networks["tenant/green"], n.api.networks["default/blue"] = `{"type": "plain"}`, `{"type": "plain"}`
	req := n.request(n.conf(`{"type": "plain"}`, `"namespaceIsolation": true`))
	n.add(req)
	same(t, "attachments", len(n.record().Attachments), 3)
}
