//go:build root

package metaplugin

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

func (n *testNode) statusFails(conf netconf.Conf, code uint, words ...string) {
	n.Helper()
	expectError(n.T, n.plugin.Status(context.Background(), Request{Conf: conf}), code, words...)
}

func TestStatus_SucceedsIfAnAddCould(t *testing.T) {
	n := newTestNode(t)
	must(t, n.plugin.Status(context.Background(), Request{Conf: n.conf110(n.ptpConf(1))}))
	expectEqual(t, "Pods and Networks read", [2]int32{n.api.pods.Load(), n.api.networksRead.Load()}, "[0 0]")
	n.expectNothingLeft()
}

func TestStatus_ReportsEveryProblem(t *testing.T) {
	n := newTestNode(t)
	n.script("sick", `echo '{"code": 7, "msg": "my daemon is down"}'; exit 1`)
	n.plugin.API = func() (API, error) { return nil, errors.New("read the kubeconfig: no such file") }
	n.store.fail("Probe")
	conf := n.conf110(`{"type": "sick"}`)
	conf.Auxiliary = append(conf.Auxiliary, n.conf(`{"type": "no-such"}`).Master)
	n.statusFails(conf, types.ErrPluginNotAvailable, "my daemon is down", "no-such", "kubeconfig", errDisk.Error())
}

func TestStatus_PassesOnThatPodsAreAffected(t *testing.T) {
	n := newTestNode(t)
	n.script("sick", `echo '{"code": 51, "msg": "the uplink is down"}'; exit 1`)
	n.statusFails(n.conf110(`{"type": "sick"}`), types.ErrLimitedConnectivity, "the uplink is down")
}

func TestStatus_DoesNotAskADelegateThatHasNone(t *testing.T) {
	n := newTestNode(t)
	n.script("old", `exit 1`)
	conf := n.conf(`{"type": "old"}`)
	conf.CNIVersion = "1.1.0"
	must(t, n.plugin.Status(context.Background(), Request{Conf: conf}))
}

// patient is Delegates that note how long a STATUS may take.
type patient struct {
	Delegates
	left *time.Duration
}

func (d patient) Status(ctx context.Context, _ cniconf.Chain) error {
	deadline, _ := ctx.Deadline()
	*d.left = time.Until(deadline)
	return nil
}

func TestStatus_GivesASlowDelegateTenSeconds(t *testing.T) {
	n := newTestNode(t)
	var left time.Duration
	n.plugin.Delegates = func(lock *os.File) Delegates { return patient{n.delegates(lock), &left} }
	must(t, n.plugin.Status(context.Background(), Request{Conf: n.conf110(n.ptpConf(1))}))
	if left < 5*time.Second || left > 10*time.Second {
		t.Errorf("the delegate has %v", left)
	}
}

func TestStatus_EndsADelegateThatHangs(t *testing.T) {
	n := newTestNode(t)
	n.script("hung", `trap '' TERM; echo $$ >pid; while :; do sleep 0.01; done`)
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		awaitFile(t, n.path("pid"))
		cancel(errors.New("the time is over"))
	}()
	err := n.plugin.Status(ctx, Request{Conf: n.conf110(`{"type": "hung"}`)})
	expectError(t, err, types.ErrPluginNotAvailable, "the time is over")
	if _, err := os.Stat("/proc/" + n.read("pid")); err == nil {
		t.Error("the plugin is still running")
	}
}
