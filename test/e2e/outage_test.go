package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// The apiserver stops for all tests, so that this one does not run beside others. Its subtests are in the order of what happens.
func TestOutage(t *testing.T) {
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue")
	here, comes := tn.NewPod(t, `[{"name":"green"}]`), tn.NewPod(t, `[{"name":"green"}]`)
	here.Add(t)
	if err := kactustest.ControlPlane().StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the test ended early
		if err := kactustest.ControlPlane().StartAPIServer(context.Background()); err != nil {
			t.Error(err)
		}
	})

	t.Run("past apiTimeout, an ADD is worth another try, and makes nothing", func(t *testing.T) {
		conf := tn.Conf
		conf.APITimeout = "1s"
		begin := time.Now()
		_, err := comes.AddWith(t, conf, comes.Runtime())
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the ADD takes %s", took)
		}
		kactustest.ExpectError(t, kactustest.CNIError(t, err), 11, comes.Name, "refused")
		comes.ExpectInterfaces(t)
		comes.ExpectNoRecord(t)
		tn.ExpectLeases(t, kactustest.DefaultNetwork, 1) // of the Pod that was there before
	})
	t.Run("a hot ADD of what the Pod has succeeds", func(t *testing.T) {
		before := here.Index(t, kactustest.GreenIfName)
		here.HotAdd(t, "green")
		if here.Index(t, kactustest.GreenIfName) != before {
			t.Error("the device is another")
		}
	})
	t.Run("a hot ADD of a new network is worth another try", func(t *testing.T) {
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
	t.Run("an ADD that begins in it succeeds when it ends", func(t *testing.T) {
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
