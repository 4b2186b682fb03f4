package faults

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// agentNetworks and agentNADs are the Networks and the NetworkAttachmentDefinitions of the Pods of
// TestFault_AgentRandom.
var (
	agentNetworks = []string{"green", "blue", "data", "red"}
	agentNADs     = []string{"lan", "wan"}
)

// A wanted is an interface that a Pod's annotation asks for.
type wanted struct {
	network string
	ifName  string // empty for any with a number
	mac     string // empty for any
}

// An editedPod is a Pod, and the model of what it must have.
type editedPod struct {
	*kactustest.Pod
	number int
	wanted []wanted
}

// randomEdit makes the model another one, and returns the annotations that ask for it.
func (p *editedPod) randomEdit() map[string]any {
	if rand.IntN(2) == 0 {
		return p.randomNPWG()
	}
	return p.randomOwn()
}

// randomOwn returns the annotation networks with random networks in a random order. What the other
// annotation says stays, and does not count.
func (p *editedPod) randomOwn() map[string]any {
	p.wanted = nil
	selections := []string{}
	for _, i := range rand.Perm(len(agentNetworks))[:rand.IntN(len(agentNetworks)+1)] {
		name, mac := agentNetworks[i], p.randomMAC(i)
		p.wanted = append(p.wanted, wanted{name, kactustest.IfName(name), mac})
		selections = append(selections, fmt.Sprintf(`{"name":%q,"ifMac":%q}`, name, mac))
	}
	return map[string]any{"networks": "[" + strings.Join(selections, ",") + "]"}
}

// randomNPWG returns the annotation of Pods that were written for Multus, in one of its forms, with
// networks that may be there several times.
func (p *editedPod) randomNPWG() map[string]any {
	p.wanted = nil
	isList := rand.IntN(2) == 0
	elements := []string{}
	for i := range rand.IntN(len(agentNetworks) + 1) {
		w := wanted{network: agentNADs[rand.IntN(len(agentNADs))]}
		element := w.network
		if rand.IntN(2) == 0 {
			w.ifName = fmt.Sprint("if", i)
			element += "@" + w.ifName
		}
		if !isList {
			if w.ifName != "" {
				w.mac = p.randomMAC(i)
			}
			element = fmt.Sprintf(`{"name":%q,"interface":%q,"mac":%q}`, w.network, w.ifName, w.mac)
		}
		p.wanted = append(p.wanted, w)
		elements = append(elements, element)
	}
	annotation := strings.Join(elements, ",")
	if !isList {
		annotation = "[" + annotation + "]"
	}
	return map[string]any{"networks": nil, kactustest.NPWGAnnotation: annotation}
}

// randomMAC returns a MAC address for the i-th network of the Pod, or none.
func (p *editedPod) randomMAC(i int) string {
	if rand.IntN(3) > 0 {
		return ""
	}
	return p.UniqueMAC(p.number*len(agentNetworks) + i)
}

// isRight reports whether the Pod is as the model says.
func (p *editedPod) isRight(t *testing.T) bool {
	t.Helper()
	names := p.assign(t)
	if !p.IsAttached(t, append(names, "eth0")...) {
		return false
	}
	links := p.Links(t)
	for i, w := range p.wanted {
		link := links[names[i]]
		if link == nil || w.mac != "" && link.Attrs().HardwareAddr.String() != w.mac {
			return false
		}
	}
	return p.isStatusRight(t)
}

var numberedName = regexp.MustCompile(`^net[0-9]{1,2}$`)

// assign returns the names of the interfaces that the model wants; for those whose number does not
// matter, what the record has, and an impossible one where that has too few. A name that is another
// network's is impossible, too.
func (p *editedPod) assign(t *testing.T) []string {
	t.Helper()
	const impossible = "-"
	free := map[string]string{}
	if p.HasRecord() {
		for _, a := range p.Record(t).Attachments {
			free[a.IfName] = a.Network
		}
	}
	names := make([]string, len(p.wanted))
	for i, w := range p.wanted {
		names[i] = impossible
		for ifName, network := range free {
			if network == w.network && (ifName == w.ifName || w.ifName == "" && numberedName.MatchString(ifName)) {
				names[i] = ifName
			}
		}
		delete(free, names[i])
	}
	return names
}

// isStatusRight reports whether the network-status has exactly what the Pod has, the default
// network first.
func (p *editedPod) isStatusRight(t *testing.T) bool {
	t.Helper()
	links := p.Links(t)
	entries := p.NetworkStatus(t)
	if len(entries) != len(links) || !entries[0].Default || entries[0].Interface != "eth0" {
		return false
	}
	for _, e := range entries {
		link := links[e.Interface]
		if link == nil || link.Attrs().HardwareAddr.String() != e.Mac || len(e.IPs) != 1 ||
			e.IPs[0] != p.Addr(t, e.Interface) {
			return false
		}
	}
	return true
}
