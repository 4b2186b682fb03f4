package agent

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
)

// TestCompare_RandomEdits edits an annotation at random, applies the steps to a record as kactus
// would, and compares both with what the model knows of the Pod.
func TestCompare_RandomEdits(t *testing.T) {
	const pods, edits = 500, 25
	counts := map[string]int{}
	for seed := range uint64(pods) {
		p := newPod(t, seed)
		for range edits {
			p.edit()
			p.mishap()
			p.reconcile(counts)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
	for _, what := range []string{
		"ADD added", "DEL removed", "ADD changed", "DEL changed", "ADD half made",
		"kept", "kept default", "kept skipped", "kept primary", "kept unknown", "kept by chance",
	} {
		if counts[what] < pods/10 {
			t.Errorf("%s: tried %d times, which is no test", what, counts[what])
		}
	}
}

// pod is a Pod, and the model of it.
type pod struct {
	t      *testing.T
	random *rand.Rand
	conf   netconf.Conf
	// selections are those of the annotation, and record what is attached.
	selections []network.Selection
	record     ledger.Record
	// made are the selections of the attachments, by name; those of the predecessor have none.
	made map[string]network.Selection
}

var (
	names      = []string{"a", "b", "c", "d", "e", "f"}
	macs       = []network.MAC{"", "", "0a:00:00:00:00:01", "0a:00:00:00:00:02", "0a:00:00:00:00:03"}
	namespaces = []string{"", "", "tenant", "default", "infra"}
	addresses  = []string{"10.7.0.1/24", "10.7.0.2/24", "10.7.0.3", "fd00::1/64", "fd00:0::1", "10.7.0.1"}
)

// newPod returns a Pod that was started with some networks, by kactus or its predecessor.
func newPod(t *testing.T, seed uint64) *pod {
	t.Helper()
	p := &pod{t: t, random: rand.New(rand.NewPCG(seed, 0)), conf: newConf(t, ""), made: map[string]network.Selection{}}
	for range p.random.IntN(4) {
		p.edit()
	}
	var selected []plan.SelectedNetwork
	for _, s := range p.selections {
		selected = append(selected, p.find(s))
		p.made[s.Name] = s
	}
	planned, err := plan.Pod(p.conf, "eth0", selected)
	if err != nil {
		t.Fatal(err)
	}
	p.record.IfName = "eth0"
	for _, a := range planned {
		p.record.Attachments = append(p.record.Attachments, p.attach(a))
	}
	if p.random.IntN(4) == 0 {
		p.beOld()
	}
	return p
}

// beOld makes the record one of the predecessor's, which knows of a Network nothing but its name.
func (p *pod) beOld() {
	p.made = map[string]network.Selection{}
	for i, a := range p.record.Attachments {
		old := ledger.Attachment{State: ledger.Attached}
		old.Network, old.IfName = a.Network, a.IfName
		if a.Namespace != "" {
			old.Namespace = "default"
		}
		p.record.Attachments[i] = old
	}
}

// find returns the Network of a selection, as kactus would. The namespace infra has all Networks,
// the Pod's own and the default one have half of them.
func (p *pod) find(s network.Selection) plan.SelectedNetwork {
	namespace := s.Namespace
	if namespace == "" {
		namespace = []string{"tenant", "default"}[int(s.Name[0])%2]
	}
	return plan.SelectedNetwork{
		Selection: s,
		Network:   network.Network{Name: s.Name, Namespace: namespace, Plugin: "bridge"},
	}
}

// attach returns what the ledger has of an attachment once its ADD has succeeded.
func (p *pod) attach(planned plan.Attachment) ledger.Attachment {
	mac, ips := planned.MAC, planned.IPs
	if mac == "" {
		mac = macs[2+p.random.IntN(3)]
	}
	if len(ips) == 0 {
		ips = addresses[:1+p.random.IntN(2)]
	}
	var given []map[string]string
	for _, ip := range ips {
		addr, prefixLength, _ := network.ParseIP(ip)
		if prefixLength < 0 {
			prefixLength = map[bool]int{true: 24, false: 64}[addr.Is4()]
		}
		given = append(given, map[string]string{"address": netip.PrefixFrom(addr, prefixLength).String()})
	}
	result, err := json.Marshal(map[string]any{
		"cniVersion": "1.0.0",
		"interfaces": []map[string]string{{"name": planned.IfName, "mac": string(mac), "sandbox": "/n"}},
		"ips":        given,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return ledger.Attachment{Attachment: planned, State: ledger.Attached, Result: result}
}

// edit changes the annotation in one way. Its result can always be parsed.
func (p *pod) edit() {
	r := p.random
	p.selections = slices.Clone(p.selections)
	if len(p.selections) == 0 || r.IntN(3) == 0 {
		name := names[r.IntN(len(names))]
		if !slices.ContainsFunc(p.selections, func(s network.Selection) bool { return s.Name == name }) {
			p.selections = slices.Insert(p.selections, r.IntN(len(p.selections)+1), p.selection(name))
		}
		return
	}
	i := r.IntN(len(p.selections))
	s := &p.selections[i]
	switch r.IntN(9) {
	case 0, 1:
		p.selections = slices.Delete(p.selections, i, i+1)
	case 2:
		s.Namespace = namespaces[r.IntN(len(namespaces))]
	case 3:
		s.MAC = macs[r.IntN(len(macs))]
	case 4:
		s.IPs = p.ips()
	case 5: // the same in another order
		s.IPs = slices.Clone(s.IPs)
		slices.Reverse(s.IPs)
		slices.Reverse(p.selections)
	case 6:
		s.PodagentSkip = !s.PodagentSkip
	case 7:
		isPrimary := !s.IsPrimary
		for i := range p.selections {
			p.selections[i].IsPrimary = false
		}
		s.IsPrimary = isPrimary
	case 8:
		if r.IntN(10) == 0 {
			p.selections = nil
		}
	}
}

func (p *pod) selection(name string) network.Selection {
	r := p.random
	s := network.Selection{Name: name, Namespace: namespaces[r.IntN(5)],
		Requests:     network.Requests{MAC: macs[r.IntN(5)], IPs: p.ips()},
		PodagentSkip: r.IntN(10) == 0}
	for _, other := range names { // no circles
		if other > name && r.IntN(5) == 0 {
			s.UpperLayers = append(s.UpperLayers, other)
		}
	}
	return s
}

func (p *pod) ips() []string {
	var ips []string
	for _, ip := range addresses {
		if p.random.IntN(2*len(addresses)) == 0 {
			ips = append(ips, ip)
		}
	}
	return ips
}

// mishap sometimes breaks an attachment, as a kactus that is killed does, or a DEL that fails.
func (p *pod) mishap() {
	if p.random.IntN(3) > 0 {
		return
	}
	a := &p.record.Attachments[p.random.IntN(len(p.record.Attachments))]
	if p.random.IntN(2) == 0 {
		a.State, a.Result = ledger.Planned, nil
	} else {
		a.Failures++
	}
}

// reconcile takes the steps, and checks them and what is attached then.
func (p *pod) reconcile(counts map[string]int) {
	before := slices.Clone(p.record.Attachments)
	steps := p.compare()
	p.checkOrder(steps)
	stepsOf := map[string]string{}
	for _, step := range steps {
		counts[string(step.Operation)+" "+string(step.Reason)]++
		stepsOf[step.Selection.Name] += string(step.Operation)
	}
	for _, a := range before {
		counts[p.checkSteps(a, stepsOf[a.Network])]++
	}
	for _, step := range steps {
		p.take(step)
	}
	if again := p.compare(); len(again) > 0 {
		p.t.Errorf("after %s, there is %s", describe(steps), describe(again))
	}
	p.checkAttached()
}

func (p *pod) compare() []Step {
	steps, err := Compare(p.selections, p.record, p.conf, "tenant", Seen{})
	if err != nil {
		p.t.Fatal(err)
	}
	return steps
}

func (p *pod) checkOrder(steps []Step) {
	var dels, recorded []string
	for i, step := range steps {
		if step.Operation == Del {
			dels = append(dels, step.IfName)
			if len(dels) != i+1 {
				p.t.Errorf("a DEL after an ADD: %s", describe(steps))
			}
			continue
		}
		for _, earlier := range steps[:i] {
			if earlier.Operation == Add && slices.Contains(step.Selection.UpperLayers, earlier.Selection.Name) {
				p.t.Errorf("an upper layer first: %s", describe(steps))
			}
		}
	}
	for _, a := range slices.Backward(p.record.Attachments) {
		if slices.Contains(dels, a.IfName) {
			recorded = append(recorded, a.IfName)
		}
	}
	if !slices.Equal(dels, recorded) {
		p.t.Errorf("DELs of %v, want %v", dels, recorded)
	}
}

// checkSteps checks the steps of the network of an attachment, such as DELADD, and returns what was
// seen.
func (p *pod) checkSteps(a ledger.Attachment, steps string) string {
	s, selected := p.selected(a.Network)
	before, known := p.made[a.Network]
	want, seen := "", ""
	switch {
	case a.Namespace == "" || a.IfName == "eth0":
		seen = "kept default"
	case a.PodagentSkip || selected && s.PodagentSkip:
		seen = "kept skipped"
	case selected && s.IsPrimary:
		seen = "kept primary"
	case !selected:
		want, seen = "DEL", "unselected"
	case a.State != ledger.Attached || a.Failures > 0:
		want, seen = "ADD", "repaired"
	case !known:
		seen = "kept unknown"
	case sameRequest(before, s):
		seen = "kept"
	case p.isWhatIsAsked(a, s):
		seen = "kept by chance"
	default:
		want, seen = "DELADD", "made anew"
	}
	if steps != want {
		p.t.Errorf("%s: the steps are %q, want %q, for the attachment %+v, made for %+v, and now %+v",
			seen, steps, want, a, before, s)
	}
	return seen
}

func sameRequest(a, b network.Selection) bool {
	a.IPs, b.IPs = slices.Sorted(slices.Values(a.IPs)), slices.Sorted(slices.Values(b.IPs))
	a.UpperLayers, b.UpperLayers = nil, nil
	a.IsPrimary, b.IsPrimary = false, false
	return reflect.DeepEqual(a, b)
}

// isWhatIsAsked reports whether the attachment of a known request is as the selection asks for.
func (p *pod) isWhatIsAsked(a ledger.Attachment, s network.Selection) bool {
	if s.Namespace != "" && s.Namespace != a.Namespace ||
		s.Namespace == "" && a.Namespace != "tenant" && a.Namespace != "default" {
		return false
	}
	text := string(a.Result)
	if s.MAC == "" && a.MAC != "" || s.MAC != "" && !strings.Contains(text, string(s.MAC)) {
		return false
	}
	for _, ip := range s.IPs {
		addr, _, _ := network.ParseIP(ip)
		if !strings.Contains(text, fmt.Sprintf("%q:%q", "address", addr.String()+"/24")) &&
			!strings.Contains(text, fmt.Sprintf("%q:%q", "address", addr.String()+"/64")) {
			return false
		}
	}
	return !slices.ContainsFunc(a.IPs, func(requested string) bool {
		addr, _, _ := network.ParseIP(requested)
		return !slices.ContainsFunc(s.IPs, func(ip string) bool {
			now, _, _ := network.ParseIP(ip)
			return now == addr
		})
	})
}

func (p *pod) selected(name string) (network.Selection, bool) {
	i := slices.IndexFunc(p.selections, func(s network.Selection) bool { return s.Name == name })
	if i < 0 {
		return network.Selection{}, false
	}
	return p.selections[i], true
}

// take does to the record what a hot operation does, and fails where kactus would refuse.
func (p *pod) take(step Step) {
	remove := func() {
		p.record.Attachments = slices.DeleteFunc(slices.Clone(p.record.Attachments),
			func(a ledger.Attachment) bool { return a.IfName == step.IfName })
	}
	a, attached := p.record.Find(step.IfName)
	if step.Operation == Del {
		if !attached || step.IfName != network.DeviceName(step.Selection.Name) {
			p.t.Errorf("kactus has nothing for %s", step)
		}
		remove()
		return
	}
	switch {
	case attached && a.State == ledger.Attached && a.Failures == 0:
		p.t.Errorf("kactus refuses %s: attached already, as %+v", step, a)
	case attached:
		remove()
	}
	planned, err := plan.Hot(p.conf, p.find(step.Selection))
	if err != nil {
		p.t.Fatal(err)
	}
	p.record.Attachments = append(p.record.Attachments, p.attach(planned))
	p.made[step.Selection.Name] = step.Selection
}

// checkAttached checks that each selection has its attachment, and no other network has one, but
// for those that are not the agent's.
func (p *pod) checkAttached() {
	count := map[string]int{}
	for _, a := range p.record.Attachments {
		s, selected := p.selected(a.Network)
		count[a.Network]++
		_, known := p.made[a.Network]
		switch {
		case a.Namespace == "" || a.IfName == "eth0" || a.PodagentSkip: // not the agent's
		case !selected:
			p.t.Errorf("%s is still attached", a.Network)
		case s.IsPrimary || s.PodagentSkip:
		case a.State != ledger.Attached || a.Failures > 0:
			p.t.Errorf("%s is still half made", a.Network)
		case known && !p.isWhatIsAsked(a, s):
			p.t.Errorf("%s is attached as %+v, and selected as %+v", a.Network, a, s)
		}
	}
	for _, s := range p.selections {
		if count[s.Name] == 0 && !s.IsPrimary && !s.PodagentSkip || count[s.Name] > 1 {
			p.t.Errorf("%s is attached %d times", s.Name, count[s.Name])
		}
	}
}
