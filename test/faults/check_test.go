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

// deviations returns what differs from a Pod that has exactly these interfaces attached:
// interfaces, records, leases and temporary files. No other Pod of the tenant may have any.
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
				wrong = append(wrong, "the Pod has the interface "+name)
			}
		}
		for _, name := range ifNames {
			if _, ok := p.Links(t)[name]; !ok {
				wrong = append(wrong, "the Pod has no interface "+name)
			}
		}
	}
	for _, network := range kactustest.FileNames(t, p.LeaseDir()) {
		want := 0
		if slices.Contains(ifNames, kactustest.IfName(network)) || network == kactustest.DefaultNetwork &&
			slices.Contains(ifNames, "eth0") {
			want = 1
		}
		if got := p.Leases(t, network); len(got) != want {
			wrong = append(wrong, fmt.Sprintf("leases of %[2]s: %[1]q, want %[3]d", got, network, want))
		}
	}
	var ports []string
	settled := kactustest.Poll(t.Context(), func() bool {
		ports = p.Ports(t)
		return len(ports) == len(ifNames)
	})
	if !settled {
		wrong = append(wrong, fmt.Sprintf("interfaces on the node: %q, want %d", ports, len(ifNames)))
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

// traces returns what shows that a delegate ran for a Pod of a tenant that had nothing before. Any
// delegate that ran has left a directory of leases, even if it was rolled back.
func traces(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	wrong := deviations(t, p)
	if ran := kactustest.FileNames(t, p.LeaseDir()); len(ran) > 0 {
		wrong = append(wrong, fmt.Sprintf("delegates of %q ran", ran))
	}
	return wrong
}

// checkError returns what is wrong with err, which is to be a CNI error of that code with these
// words in its message or details; or nil, if the code is zero.
func checkError(err error, code uint, words ...string) []string {
	if code == 0 {
		if err != nil {
			return []string{"failed: " + err.Error()}
		}
		return nil
	}
	var e *types.Error
	if !errors.As(err, &e) || e.Code != code {
		return []string{fmt.Sprintf("error %v; want the code %d", err, code)}
	}
	var wrong []string
	for _, word := range words {
		if !strings.Contains(e.Msg+e.Details, word) {
			wrong = append(wrong, fmt.Sprintf("error %q; want %q in it", err, word))
		}
	}
	return wrong
}
