package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// The apiserver stops for all tests, so this one does not run in parallel. Its subtests depend on
// each other.
func TestOutage(t *testing.T) {
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue")
	here, comes := tn.NewPod(t, `[{"name":"green"}]`), tn.NewPod(t, `[{"name":"green"}]`)
	here.Add(t)
	if err := kactustest.ControlPlane().StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // if the test ended early
		if err := kactustest.ControlPlane().StartAPIServer(context.Background()); err != nil {
			t.Error(err)
		}
	})

	t.Run("after apiTimeout, an ADD is error 11", func(t *testing.T) {
		conf := tn.Conf
		conf.APITimeout = "1s"
		begin := time.Now()
		_, err := comes.AddWith(t, conf, comes.Runtime())
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the ADD took %s", took)
		}
		kactustest.ExpectError(t, kactustest.CNIError(t, err), 11, comes.Name, "refused")
		comes.ExpectInterfaces(t)
		comes.ExpectNoRecord(t)
		tn.ExpectLeases(t, kactustest.DefaultNetwork, 1) // that of the other Pod
	})
	t.Run("a hot ADD of what is attached succeeds", func(t *testing.T) {
		before := here.Index(t, kactustest.GreenIfName)
		here.HotAdd(t, "green")
		if here.Index(t, kactustest.GreenIfName) != before {
			t.Error("the interface was replaced")
		}
	})
	t.Run("a hot ADD of a new network is error 11", func(t *testing.T) {
		conf := here.AgentConf()
		conf.APITimeout = "1s"
		_, err := here.AddWith(t, conf, here.Agent("blue", ""))
		kactustest.ExpectError(t, kactustest.CNIError(t, err), 11, "blue", "refused")
		here.ExpectInterfaces(t, "eth0", kactustest.GreenIfName)
		here.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName)
	})
	t.Run("a hot DEL works", func(t *testing.T) {
		here.HotDel(t, "green")
		here.ExpectInterfaces(t, "eth0")
		tn.ExpectLeases(t, "green", 0)
	})
	t.Run("a DEL works", func(t *testing.T) {
		here.Del(t)
		here.ExpectGone(t)
	})
	t.Run("an ADD succeeds when the outage ends", func(t *testing.T) {
		add := comes.Start(t, "ADD", tn.Conf, comes.Runtime())
		add.AwaitLock(t)
		if err := kactustest.ControlPlane().StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := add.Wait(t); err != nil {
			t.Fatalf("ADD: %v", err)
		}
		comes.ExpectInterfaces(t, "eth0", kactustest.GreenIfName)
		comes.ExpectLedger(t, "attached", "eth0", kactustest.GreenIfName)
		comes.Del(t)
		comes.ExpectGone(t)
	})
}
