package e2e

import (
	"context"
	"testing"
	"time"
)

// The apiserver stops for all tests, so that this one does not run beside others. Its subtests are in the order of what happens.
func TestOutage(t *testing.T) {
	tn := newTenant(t)
	tn.bridges(t, "green", "blue")
	here, comes := tn.pod(t, `[{"name":"green"}]`), tn.pod(t, `[{"name":"green"}]`)
	here.add(t)
	if err := suite.cp.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the test ended early
		if err := suite.cp.StartAPIServer(context.Background()); err != nil {
			t.Error(err)
		}
	})

	t.Run("past apiTimeout, an ADD is worth another try, and makes nothing", func(t *testing.T) {
		conf := tn.conf
		conf.APITimeout = "1s"
		begin := time.Now()
		_, err := comes.libcniAdd(t, conf, comes.runtime())
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the ADD takes %s", took)
		}
		expectError(t, cniError(t, err), 11, comes.name, "refused")
		comes.expectDevices(t)
		comes.expectNoRecord(t)
		tn.expectLeases(t, defaultNet, 1) // of the Pod that was there before
	})
	t.Run("a hot ADD of what the Pod has succeeds", func(t *testing.T) {
		before := here.index(t, greenDevice)
		here.hotAdd(t, "green")
		if here.index(t, greenDevice) != before {
			t.Error("the device is another")
		}
	})
	t.Run("a hot ADD of a new network is worth another try", func(t *testing.T) {
		conf := here.agentConf()
		conf.APITimeout = "1s"
		_, err := here.libcniAdd(t, conf, here.agent("blue", ""))
		expectError(t, cniError(t, err), 11, "blue", "refused")
		here.expectDevices(t, "eth0", greenDevice)
		here.expectLedger(t, "attached", "eth0", greenDevice)
	})
	t.Run("a hot DEL works", func(t *testing.T) {
		here.hotDel(t, "green")
		here.expectDevices(t, "eth0")
		tn.expectLeases(t, "green", 0)
	})
	t.Run("a DEL works", func(t *testing.T) {
		here.del(t)
		here.expectGone(t)
	})
	t.Run("an ADD that begins in it succeeds when it ends", func(t *testing.T) {
		add := comes.start(t, "ADD", tn.conf, comes.runtime())
		add.waitsForLock(t)
		if err := suite.cp.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := add.wait(t); err != nil {
			t.Fatalf("ADD: %v", err)
		}
		comes.expectDevices(t, "eth0", greenDevice)
		comes.expectLedger(t, "attached", "eth0", greenDevice)
		comes.del(t)
		comes.expectGone(t)
	})
}
