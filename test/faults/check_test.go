package faults

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	var leased []string
	for _, holders := range leaseHolders(t, p.Tenant) {
		for holder, addrs := range holders {
			leased = append(leased, slices.Repeat([]string{holder}, len(addrs))...)
		}
	}
	want := []string{}
	for _, name := range ifNames {
		want = append(want, p.ID+"/"+name)
	}
	if slices.Sort(leased); !slices.Equal(leased, slices.Sorted(slices.Values(want))) {
		wrong = append(wrong, fmt.Sprintf("leases of %q, want %q", leased, want))
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

// leaseHolders returns the addresses that host-local has leased, by network and by
// "sandbox/interface".
func leaseHolders(t *testing.T, tn *kactustest.Tenant) map[string]map[string][]string {
	t.Helper()
	all := map[string]map[string][]string{}
	for _, network := range kactustest.FileNames(t, tn.LeaseDir()) {
		all[network] = map[string][]string{}
		for _, addr := range tn.Leases(t, network) {
			data, err := os.ReadFile(filepath.Join(tn.LeaseDir(), network, addr))
			if errors.Is(err, fs.ErrNotExist) {
				continue // deleted by a delegate of a killed operation
			}
			kactustest.Must(t, err)
			holder := strings.Join(strings.Fields(string(data)), "/")
			all[network][holder] = append(all[network][holder], addr)
		}
	}
	return all
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
