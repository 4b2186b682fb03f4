package e2e

import (
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestAgent_FollowsTheAnnotation(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", "data")
	p := tn.NewPod(t, `[{"name":"green"}]`)
	p.Add(t)
	agent := tn.StartNodeAgent(t)
	p.EventuallyCondition(t, "True", "Attached")
	p.Annotate(t, `[{"name":"green"},{"name":"data"}]`)
	p.EventuallyInterfaces(t, "eth0", kactustest.GreenIfName, kactustest.DataIfName)
	p.Annotate(t, `[{"name":"blue"},{"name":"data"}]`)
	p.EventuallyInterfaces(t, "eth0", kactustest.BlueIfName, kactustest.DataIfName)
	p.Annotate(t, ``)
	p.EventuallyInterfaces(t, "eth0")
	p.EventuallyCondition(t, "True", "Attached")
	t.Log(p.NetworksAttached(t), p.Events(t))
	p.Del(t)
	p.ExpectGone(t)
	t.Log(agent.Stderr.String())
}
