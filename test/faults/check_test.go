package faults

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// amiss is what is not as it is where the Pod has these devices, attached, and no others: devices, records, leases, temporary files. The Pod is the
// only one of its tenant that has any.
func deviations(t *testing.T, p *kactustest.Pod, ifNames ...string) []string {
	t.Helper()
	return append(deviationsOnNode(t, p, ifNames...), deviationsInLedger(t, p, ifNames...)...)
}

func deviationsOnNode(t *testing.T, p *kactustest.Pod, ifNames ...string) []string {
	t.Helper()
	var wrong []string
	if _, err := os.Stat(p.Netns); err == nil {
		for name := range p.Links(t) {
			if !slices.Contains(ifNames, name) {
				wrong = append(wrong, "the Pod has the device "+name)
			}
		}
		for _, name := range ifNames {
			if _, ok := p.Links(t)[name]; !ok {
				wrong = append(wrong, "the Pod has no device "+name)
			}
		}
	}
	for _, network := range kactustest.FileNames(t, p.LeaseDir()) {
		want := 0
		if slices.Contains(ifNames, kactustest.IfName(network)) || network == kactustest.DefaultNetwork && slices.Contains(ifNames, "eth0") {
			want = 1
		}
		if got := p.Leases(t, network); len(got) != want {
			wrong = append(wrong, fmt.Sprintf("host-local has %q of %s, and not %d", got, network, want))
		}
	}
	var ports []string
	settled := kactustest.Poll(t.Context(), func() bool {
		ports = p.Ports(t)
		return len(ports) == len(ifNames)
	})
	if !settled {
		wrong = append(wrong, fmt.Sprintf("the node has the devices %q, and not %d", ports, len(ifNames)))
	}
	return wrong
}

func deviationsInLedger(t *testing.T, p *kactustest.Pod, ifNames ...string) []string {
	t.Helper()
	var wrong, held []string
	for _, name := range kactustest.FileNames(t, p.Conf.CNIDir) {
		if !strings.HasPrefix(name, p.ID+".") {
			continue
		}
		if len(ifNames) == 0 || name != p.ID+".json" {
			wrong = append(wrong, "the ledger has "+name)
			continue
		}
		for _, a := range p.Record(t).Attachments {
			held = append(held, a.IfName)
			if !slices.Contains(ifNames, a.IfName) || a.State != "attached" {
				wrong = append(wrong, "the ledger has "+a.IfName+" as "+a.State)
			}
		}
	}
	for _, name := range ifNames {
		if !slices.Contains(held, name) {
			wrong = append(wrong, "the ledger does not have "+name)
		}
	}
	return wrong
}

// touched says of a tenant whose Pods had nothing before that a delegate was run: whichever ran has left a folder of leases, even undone.
func traces(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	wrong := deviations(t, p)
	if ran := kactustest.FileNames(t, p.LeaseDir()); len(ran) > 0 {
		wrong = append(wrong, fmt.Sprintf("delegates of %q ran", ran))
	}
	return wrong
}

// unlike is what err is not: a CNI error of that code, with these words in its message or its details; or, where the code is zero, none.
func checkError(err error, code uint, words ...string) []string {
	if code == 0 {
		if err != nil {
			return []string{"it fails: " + err.Error()}
		}
		return nil
	}
	var e *types.Error
	if !errors.As(err, &e) || e.Code != code {
		return []string{fmt.Sprintf("it says %v; want the error code %d", err, code)}
	}
	var wrong []string
	for _, word := range words {
		if !strings.Contains(e.Msg+e.Details, word) {
			wrong = append(wrong, fmt.Sprintf("it says %q, without %q", err, word))
		}
	}
	return wrong
}
