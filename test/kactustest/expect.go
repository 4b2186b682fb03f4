package kactustest

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
)

// ExpectInterfaces fails the test if the Pod does not have exactly these interfaces, besides lo.
func (p *Pod) ExpectInterfaces(t *testing.T, want ...string) {
	t.Helper()
	got := []string{}
	for name := range p.Links(t) {
		got = append(got, name)
	}
	ExpectSame(t, "interfaces of the Pod", got, want)
}

// ExpectLedger fails the test if the Pod's record does not have attachments with exactly these
// interface names, all in that state.
func (p *Pod) ExpectLedger(t *testing.T, state string, want ...string) {
	t.Helper()
	var got []string
	for _, a := range p.Record(t).Attachments {
		got = append(got, a.IfName)
		if a.State != state {
			t.Errorf("%s is %q in the ledger; want %q", a.IfName, a.State, state)
		}
	}
	ExpectSame(t, "interface names in the ledger", got, want)
}

// ExpectNoRecord fails the test if the ledger has a file for the Pod: a record, a quarantined one
// or a temporary file.
func (p *Pod) ExpectNoRecord(t *testing.T) {
	t.Helper()
	for _, name := range FileNames(t, p.Conf.CNIDir) {
		if strings.HasPrefix(name, p.ID+".") {
			t.Errorf("%s is still in the ledger", name)
		}
	}
}

// ExpectGone fails the test if the Pod still has an interface or a file in the ledger, or if there
// are interfaces on the tenant's bridges or leases of its networks.
func (p *Pod) ExpectGone(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(p.Netns); err == nil {
		p.ExpectInterfaces(t)
	}
	p.ExpectNoRecord(t)
	for _, network := range FileNames(t, p.LeaseDir()) {
		p.ExpectLeases(t, network, 0)
	}
	Eventually(t, "no interface of the Pod on the node", func() bool { return len(p.Ports(t)) == 0 })
}

// ExpectUntouched fails the test if a delegate ran for the Pod, which must be the tenant's first:
// any that did has left a directory of leases, even if it was rolled back.
func (p *Pod) ExpectUntouched(t *testing.T) {
	t.Helper()
	p.ExpectInterfaces(t)
	p.ExpectNoRecord(t)
	if left := FileNames(t, p.LeaseDir()); len(left) > 0 {
		t.Errorf("delegates ran: there are leases of %q", left)
	}
}

// Ports returns the interfaces on the tenant's bridges.
func (tn *Tenant) Ports(t *testing.T) []string {
	t.Helper()
	var links []netlink.Link
	var err error
	Eventually(t, "a list of the node's interfaces without a change meanwhile", func() bool {
		links, err = netlink.LinkList()
		return !errors.Is(err, netlink.ErrDumpInterrupted)
	})
	Must(t, err)
	bridges := map[int]bool{}
	for _, link := range links {
		if strings.HasPrefix(link.Attrs().Name, tn.bridgePrefix()) {
			bridges[link.Attrs().Index] = true
		}
	}
	var ports []string
	for _, link := range links {
		if bridges[link.Attrs().MasterIndex] {
			ports = append(ports, link.Attrs().Name)
		}
	}
	return ports
}

// Leases returns the addresses that host-local has leased in a network.
func (tn *Tenant) Leases(t *testing.T, network string) []string {
	t.Helper()
	var leases []string
	for _, name := range FileNames(t, filepath.Join(tn.LeaseDir(), network)) {
		if net.ParseIP(name) != nil {
			leases = append(leases, name)
		}
	}
	return leases
}

// ExpectLeases fails the test if host-local does not have that many leases in the network.
func (tn *Tenant) ExpectLeases(t *testing.T, network string, want int) {
	t.Helper()
	if got := tn.Leases(t, network); len(got) != want {
		t.Errorf("leases of %s: %q; want %d", network, got, want)
	}
}

// ExpectError fails the test if e has another code, or if its message lacks one of the words.
func ExpectError(t *testing.T, e *types.Error, code uint, words ...string) {
	t.Helper()
	if e.Code != code {
		t.Errorf("error code %d; want %d: %v", e.Code, code, e)
	}
	for _, word := range words {
		if !strings.Contains(e.Msg, word) {
			t.Errorf("error message %q; want %q in it", e.Msg, word)
		}
	}
}

// ExpectResult fails the test if the result does not list exactly one interface of the Pod, with
// that name and MAC address.
func ExpectResult(t *testing.T, result *types100.Result, ifName, mac string) {
	t.Helper()
	var got []string
	for _, i := range result.Interfaces {
		if i.Sandbox != "" {
			got = append(got, i.Name+" "+i.Mac)
		}
	}
	ExpectSame(t, "interfaces of the Pod in the result", got, []string{ifName + " " + mac})
}

// ExpectSame fails the test if got and want, in any order, differ.
func ExpectSame(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q; want %q", what, got, want)
	}
}
