//go:build root

package metaplugin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

func TestAdd_OneAfterTheOther(t *testing.T) {
	n := newTestNode(t)
	n.script("slow", `what="$CNI_COMMAND $CNI_IFNAME"
		echo begin $what >>calls; sleep 0.05; echo end $what >>calls; `+emptyResult)
	names := []string{"a", "b", "c"}
	n.selectNetworks(names...)
	for _, name := range names {
		n.api.networks["tenant/"+name] = `{"type": "slow"}`
	}
	req := n.request(n.conf(`{"type": "slow"}`))
	n.add(req)
	n.del(req)

	ifNames := []string{"eth0"}
	for _, name := range names {
		ifNames = append(ifNames, network.DeviceName(name))
	}
	var want []string
	for _, operation := range []string{"ADD", "DEL"} {
		for _, ifName := range ifNames {
			want = append(want, "begin "+operation+" "+ifName, "end "+operation+" "+ifName)
		}
		slices.Reverse(ifNames)
	}
	n.expectCalls(want...)
	n.expectNothingLeft()
}

// A macvlan on the interface that another network makes in the Pod needs the annotation's order.
func TestAdd_OnASiblingsInterface(t *testing.T) {
	n := newTestNode(t)
	n.selectNetworks("lower", "upper")
	n.api.networks["tenant/lower"] = n.bridgeConf(2)
	n.api.networks["tenant/upper"] = fmt.Sprintf(
		`{"type": "macvlan", "master": %q, "linkInContainer": true, "ipam": %s}`,
		network.DeviceName("lower"), n.hostLocal(3))
	for range 100 {
		req := n.request(n.conf(n.ptpConf(1)))
		n.add(req)
		n.del(req)
	}
	n.expectNothingLeft()
}

func TestDel_AHangingDelegateDoesNotHoldTheOthers(t *testing.T) {
	n := newTestNode(t)
	n.recorder("plain")
	n.script("hangs", `[ $CNI_COMMAND = DEL ] && exec sleep 1000; `+emptyResult)
	n.selectNetworks("green", "blue")
	n.api.networks["tenant/green"] = `{"type": "plain"}`
	n.api.networks["tenant/blue"] = `{"type": "hangs"}`
	req := n.request(n.conf(`{"type": "plain"}`))
	n.add(req)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := n.plugin.Del(ctx, req)
	if err == nil || !strings.Contains(err.Error(), "network blue") || strings.Contains(err.Error(), "network green") {
		t.Errorf("got %v, want the failure of blue alone", err)
	}
	n.expectCalls("ADD eth0", "ADD "+greenIf, "DEL "+greenIf) // no time is left for eth0
}
