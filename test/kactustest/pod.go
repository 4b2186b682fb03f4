package kactustest

import (
	"crypto/md5"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
)

// The interface names of the networks that the tests use most, by the naming rule.
const (
	GreenIfName = "net9f27410725ab"
	BlueIfName  = "net48d6215903df"
	DataIfName  = "net8d777f385d3d"
)

// IfName returns the interface name of a network, by the naming rule.
func IfName(network string) string {
	sum := md5.Sum([]byte(network))
	return fmt.Sprintf("net%x", sum[:6])
}

// A Pod is a Pod of the cluster, with a sandbox: the network namespace that a runtime made for it.
type Pod struct {
	*Tenant
	Name, UID string
	// ID is the container ID of the sandbox.
	ID string
	// Netns is the path of the network namespace.
	Netns string
}

// NewPod creates a Pod with the annotation networks and no other.
func (tn *Tenant) NewPod(t *testing.T, networks string) *Pod {
	t.Helper()
	return tn.NewAnnotatedPod(t, map[string]string{"networks": networks})
}

// NewAnnotatedPod creates a Pod with these annotations, which may be nil.
func (tn *Tenant) NewAnnotatedPod(t *testing.T, annotations map[string]string) *Pod {
	t.Helper()
	return tn.NewPodWith(t, annotations, nil)
}

// NewAbsentPod returns a Pod that the runtime has and the apiserver does not.
func (tn *Tenant) NewAbsentPod(t *testing.T) *Pod {
	t.Helper()
	n := NextNumber()
	p := &Pod{Tenant: tn, Name: fmt.Sprintf("pod-%d", n), UID: fmt.Sprintf("uid-%d", n)}
	p.NewSandbox(t)
	return p
}

// NewSandbox gives the Pod a new container ID and a network namespace, which goes with the test.
func (p *Pod) NewSandbox(t *testing.T) {
	t.Helper()
	n := NextNumber()
	p.ID, p.Netns = fmt.Sprintf("sandbox-%d", n), filepath.Join(p.Dir, fmt.Sprintf("sandbox-%d.netns", n))
	p.MakeNetns(t)
}

// MakeNetns makes a network namespace at the Pod's path, which goes with the test.
func (p *Pod) MakeNetns(t *testing.T) {
	t.Helper()
	p.netns().Mount(t)
	t.Cleanup(p.netns().Remove)
}

// LoseNetns removes the Pod's network namespace, as a reboot does or a runtime in a hurry.
func (p *Pod) LoseNetns() { p.netns().Remove() }

func (p *Pod) netns() *netnstest.Netns { return &netnstest.Netns{Path: p.Netns} }

// InNetns calls do with a netlink socket of the Pod's network namespace.
func (p *Pod) InNetns(t *testing.T, do func(*netlink.Handle)) {
	t.Helper()
	p.netns().Do(t, do)
}

// Links returns the interfaces of the Pod by name, without lo.
func (p *Pod) Links(t *testing.T) map[string]netlink.Link {
	t.Helper()
	return p.netns().LinksByName(t)
}

// Link returns the interface of that name, and fails the test if the Pod does not have it.
func (p *Pod) Link(t *testing.T, ifName string) netlink.Link {
	t.Helper()
	link, ok := p.Links(t)[ifName]
	if !ok {
		t.Fatalf("the Pod has no interface %s", ifName)
	}
	return link
}

// DeleteLink deletes an interface of the Pod.
func (p *Pod) DeleteLink(t *testing.T, ifName string) {
	t.Helper()
	link := p.Link(t, ifName)
	p.InNetns(t, func(h *netlink.Handle) { Must(t, h.LinkDel(link)) })
}

// Index returns the kernel's index of an interface of the Pod. An interface that was deleted and
// made again has another one.
func (p *Pod) Index(t *testing.T, ifName string) int {
	t.Helper()
	return p.Link(t, ifName).Attrs().Index
}

// MAC returns the MAC address of an interface of the Pod.
func (p *Pod) MAC(t *testing.T, ifName string) string {
	t.Helper()
	return p.Link(t, ifName).Attrs().HardwareAddr.String()
}

// Addrs returns the addresses of an interface of the Pod in CIDR notation, without link-local ones.
func (p *Pod) Addrs(t *testing.T, ifName string) []string {
	t.Helper()
	link := p.Link(t, ifName)
	var addrs []string
	p.InNetns(t, func(h *netlink.Handle) {
		all, err := h.AddrList(link, netlink.FAMILY_ALL)
		Must(t, err)
		for _, addr := range all {
			if !addr.IP.IsLinkLocalUnicast() {
				addrs = append(addrs, addr.IPNet.String())
			}
		}
	})
	return addrs
}

// Addr returns the only address of an interface of the Pod, without the prefix length.
func (p *Pod) Addr(t *testing.T, ifName string) string {
	t.Helper()
	all := p.Addrs(t, ifName)
	if len(all) != 1 {
		t.Fatalf("%s has the addresses %q; want one", ifName, all)
	}
	ip, _, err := net.ParseCIDR(all[0])
	Must(t, err)
	return ip.String()
}
