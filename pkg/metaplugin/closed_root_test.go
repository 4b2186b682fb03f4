//go:build root

package metaplugin

import (
	"fmt"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

func TestHotAdd_AfterTheDelOfThePodFails(t *testing.T) {
	n, req := newGreenPod(t)
	n.api.networks["tenant/blue"] = n.bridgeConf(3)
	blue := n.hotRequest(req.Conf, "blue")
	n.del(req)
	refused := func() {
		n.Helper()
		n.addFails(blue, types.ErrUnknownContainer, "network blue", container, "had its DEL")
		n.expectNothingLeft()
	}
	refused()
	n.run("also after another DEL", func() {
		empty := req
		empty.Netns = ""
		n.del(empty)
		n.del(req)
		refused()
		n.del(blue)
	})
	n.run("but another container in the namespace is open", func() {
		other := blue
		other.ContainerID = "other"
		n.add(other)
		n.del(other)
	})
	n.run("an ADD of the same container that fails does not open it", func() {
		n.api.noPod = true
		n.addFails(req, types.ErrTryAgainLater)
		n.api.noPod = false
		refused()
	})
	n.run("an ADD of the same container opens it again", func() {
		n.add(req)
		n.add(blue)
		n.expectInterfaces("eth0", blueIf, greenIf)
	})
}

func TestHotAdd_AfterADelWithoutARecordFails(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	n.api.networks["tenant/green"] = n.bridgeConf(2)
	req := n.request(n.conf(`{"type": "master"}`))
	n.del(req)
	n.addFails(n.hotRequest(req.Conf, "green"), types.ErrUnknownContainer, "had its DEL")
	n.expectNothingLeft()
}

func TestHotAdd_IsPossibleAfterADelThatWasRefused(t *testing.T) {
	n, req := newGreenPod(t)
	n.api.networks["tenant/blue"] = n.bridgeConf(3)
	wrong := req
	wrong.IfName = greenIf // a hot DEL without its K8S_POD_NETWORK
	n.delFails(wrong, types.ErrInvalidEnvironmentVariables)
	n.del(n.hotRequest(req.Conf, "green"))
	n.add(n.hotRequest(req.Conf, "blue"))
	n.expectInterfaces("eth0", blueIf)
}

func TestDel_ForgetsContainersWhoseNamespaceIsGone(t *testing.T) {
	n := newTestNode(t)
	n.recorder("master")
	conf := n.conf(`{"type": "master"}`)
	for i := range 5 {
		req := n.otherContainer(fmt.Sprintf("old-%d", i), conf)
		n.add(req)
		n.del(req)
		(&netnstest.Netns{Path: req.Netns}).Remove()
		expectEqual(t, "closed", n.marks(closedMark), 1)
		n.del(req) // again, as runtimes do
		expectEqual(t, "closed", n.marks(closedMark), 1)
	}
}
