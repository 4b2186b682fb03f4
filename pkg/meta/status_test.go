package meta

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// conf110 is a netconf of the version 1.1.0.
func (n *node) conf110(master string, more ...string) netconf.Conf {
	n.Helper()
	conf := n.conf(master, more...)
	conf.CNIVersion, conf.Master.CNIVersion = "1.1.0", "1.1.0"
	return conf
}

func (n *node) statusFails(conf netconf.Conf, code uint, words ...string) {
	n.Helper()
	err := n.verbs.Status(context.Background(), conf)
	if err == nil {
		n.Fatal("STATUS succeeded")
	}
	n.check(err, code, words)
}

func TestAStatusIsFineWhereAnAddCouldWork(t *testing.T) {
	n := newNode(t)
	must(t, n.verbs.Status(context.Background(), n.conf110(n.ptp(1))))
	same(t, "Pods read", n.api.pods.Load(), 0)
	same(t, "Networks read", n.api.asked.Load(), 0)
	n.nothingLeft()
}

func TestAStatusTellsOfAllThatKeepsAnAddFromWorking(t *testing.T) {
	n := newNode(t)
	n.plugin("sick", `echo '{"code": 7, "msg": "my daemon is down"}'; exit 1`)
	n.verbs.API = func() (API, error) { return nil, errors.New("read the kubeconfig: no such file") }
	n.verbs.Probe = func() error { return errLedger }
	conf := n.conf110(`{"type": "sick"}`)
	conf.Auxiliary = append(conf.Auxiliary, n.conf(`{"type": "no-such"}`).Master)
	n.statusFails(conf, types.ErrPluginNotAvailable, "my daemon is down", "no-such", "kubeconfig", errLedger.Error())
}

func TestAStatusKeepsADelegatesWordThatPodsAreAffected(t *testing.T) {
	n := newNode(t)
	n.plugin("sick", `echo '{"code": 51, "msg": "the uplink is down"}'; exit 1`)
	n.statusFails(n.conf110(`{"type": "sick"}`), types.ErrLimitedConnectivity, "the uplink is down")
}

func TestADelegateWithoutStatusIsNotAsked(t *testing.T) {
	n := newNode(t)
	n.plugin("old", `exit 1`)
	conf := n.conf(`{"type": "old"}`)
	conf.CNIVersion = "1.1.0"
	must(t, n.verbs.Status(context.Background(), conf))
}

func TestAStatusTakesLessThanASecondWhateverHangs(t *testing.T) {
	n := newNode(t)
	n.plugin("hung", `trap '' TERM; echo $$ >pid; while :; do sleep 0.01; done`)
	begin := time.Now()
	n.statusFails(n.conf110(`{"type": "hung"}`), types.ErrPluginNotAvailable, "750ms")
	if took := time.Since(begin); took > 2*time.Second { // what a busy machine may add
		t.Errorf("it took %v", took)
	}
	if _, err := os.Stat("/proc/" + n.read("pid")); err == nil {
		t.Error("the plugin still runs")
	}
}
