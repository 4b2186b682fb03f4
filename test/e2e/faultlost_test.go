package e2e

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

// amiss is what is not as it is where the Pod has these devices, attached, and no others: devices, records, leases, temporary files. The Pod is the
// only one of its tenant that has any.
func (p *pod) amiss(t *testing.T, devices ...string) []string {
	t.Helper()
	return append(p.amissOnNode(t, devices...), p.amissInLedger(t, devices...)...)
}

func (p *pod) amissOnNode(t *testing.T, devices ...string) []string {
	t.Helper()
	var wrong []string
	if _, err := os.Stat(p.netns); err == nil {
		for name := range links(t, p.netns) {
			if !slices.Contains(devices, name) {
				wrong = append(wrong, "the Pod has the device "+name)
			}
		}
		for _, name := range devices {
			if _, ok := links(t, p.netns)[name]; !ok {
				wrong = append(wrong, "the Pod has no device "+name)
			}
		}
	}
	for _, network := range fileNames(t, p.leaseDir()) {
		want := 0
		if slices.Contains(devices, deviceName(network)) || network == defaultNet && slices.Contains(devices, "eth0") {
			want = 1
		}
		if got := p.leases(t, network); len(got) != want {
			wrong = append(wrong, fmt.Sprintf("host-local has %q of %s, and not %d", got, network, want))
		}
	}
	var ports []string
	settled := poll(t.Context(), func() bool {
		ports = p.ports(t)
		return len(ports) == len(devices)
	})
	if !settled {
		wrong = append(wrong, fmt.Sprintf("the node has the devices %q, and not %d", ports, len(devices)))
	}
	return wrong
}

func (p *pod) amissInLedger(t *testing.T, devices ...string) []string {
	t.Helper()
	var wrong, held []string
	for _, name := range fileNames(t, p.conf.CNIDir) {
		if !strings.HasPrefix(name, p.id+".") {
			continue
		}
		if len(devices) == 0 || name != p.id+".json" {
			wrong = append(wrong, "the ledger has "+name)
			continue
		}
		for _, a := range p.record(t).Attachments {
			held = append(held, a.Device)
			if !slices.Contains(devices, a.Device) || a.State != "attached" {
				wrong = append(wrong, "the ledger has "+a.Device+" as "+a.State)
			}
		}
	}
	for _, name := range devices {
		if !slices.Contains(held, name) {
			wrong = append(wrong, "the ledger does not have "+name)
		}
	}
	return wrong
}

// touched says of a tenant whose Pods had nothing before that a delegate was run: whichever ran has left a folder of leases, even undone.
func (p *pod) touched(t *testing.T) []string {
	t.Helper()
	wrong := p.amiss(t)
	if ran := fileNames(t, p.leaseDir()); len(ran) > 0 {
		wrong = append(wrong, fmt.Sprintf("delegates of %q ran", ran))
	}
	return wrong
}

// unlike is what err is not: a CNI error of that code, with these words in its message or its details; or, where the code is zero, none.
func unlike(err error, code uint, words ...string) []string {
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
