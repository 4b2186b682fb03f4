package system

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// quoted returns text as a string of JSON.
func quoted(text string) string {
	data, _ := json.Marshal(text) // cannot fail
	return string(data)
}

const networksKey = "k8s.v1.cni.cncf.io/networks"

// A podForMultus is a Pod that was written for Multus.
type podForMultus struct {
	kind string
	// annotations have %d where the Pods differ, since no two may have one address.
	annotations map[string]string
	// interfaces are those that Multus's documentation promises.
	interfaces []string
	// route is the default route that the documentation promises, and that Multus 4.3.0 does not
	// set: it does not find the one that it would replace.
	route string
}

var podsForMultus = []podForMultus{
	{"list", map[string]string{
		networksKey: "macvlan, default/bridge@data0 ,bridge,disk",
	}, []string{"eth0", "net1", "data0", "net3", "net4"}, ""},
	{"json", map[string]string{
		networksKey: `[
			{"name": "static", "ips": ["192.168.61.%[1]d/24"], "mac": "02:00:00:61:00:%02[1]x"},
			{"name": "chain", "namespace": "default", "mac": "02:00:00:63:00:%02[1]x", "interface": "chain0"},
			{"name": "macvlan", "cni-args": {"a": "b"}}]`,
	}, []string{"eth0", "net1", "chain0", "net3"}, ""},
	{"default", map[string]string{
		"v1.multus-cni.io/default-network": "infra", networksKey: "bridge",
	}, []string{"eth0", "net1"}, ""},
	{"route", map[string]string{
		networksKey: `[{"name": "macvlan"}, {"name": "bridge", "default-route": ["192.168.62.254"]}]`,
	}, []string{"eth0", "net1", "net2"}, "default via 192.168.62.254 dev net2"},
	{"device", map[string]string{networksKey: "device"}, []string{"eth0", "net1"}, ""},
}

// manifest returns the Pod's manifest.
func (p podForMultus) manifest(name, node string, number int) string {
	annotations := map[string]string{}
	for key, value := range p.annotations {
		if strings.Contains(value, "%") {
			value = fmt.Sprintf(value, number)
		}
		annotations[key] = value
	}
	data, _ := json.Marshal(annotations) // cannot fail
	spec := podSpec(node)
	if p.kind == "device" {
		spec = withDevices(spec, 1)
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, annotations: %s}\nspec: %s", name, data, spec)
}

// TestMigration_OnNodes moves the nodes of a cluster from Multus to kactus, one after the other,
// and back, as docs/migrating-from-multus.md says. Pods of both run on meanwhile.
func TestMigration_OnNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a cluster")
	}
	m := &migration{testCluster: newTestCluster(t), promised: map[string]attachedPod{}}
	defer func() {
		if t.Failed() {
			m.logState(t)
		}
	}()
	m.installMultus(t)
	one, two := m.Nodes()[0], m.Nodes()[1]
	for _, step := range []struct {
		name string
		take func(t *testing.T)
	}{
		{"Multus attaches Pods", m.underMultus},
		{"a node moves to kactus", func(t *testing.T) { m.toKactus(t, one) }},
		{"the other node moves", func(t *testing.T) { m.toKactus(t, two) }},
		{"Pods of all kinds work", m.onNodes(m.allKinds)},
		{"the nodes move back to Multus", m.toMultus},
	} {
		if !t.Run(step.name, step.take) {
			return // the other steps begin where this one ends
		}
	}
}

type migration struct {
	*testCluster
	number int
	// promised is what Multus made of each kind of Pod on each node.
	promised map[string]attachedPod
}

// An attachedPod is what a Pod has, as far as it is the same for all Pods of a kind on a node.
type attachedPod struct{ status, kernel string }

func podName(prefix string, p podForMultus, node *cluster.Node) string {
	return prefix + "-" + p.kind + "-" + node.Name()
}

// start starts a Pod of each kind on a node, and waits until all are ready.
func (m *migration) start(t *testing.T, node *cluster.Node, prefix string) {
	t.Helper()
	var manifests, pods []string
	for _, p := range podsForMultus {
		m.number++
		name := podName(prefix, p, node)
		manifests, pods = append(manifests, p.manifest(name, node.Name(), m.number)), append(pods, "pod/"+name)
	}
	m.apply(t, manifests...)
	m.ready(t, pods...)
}

// look returns what a Pod has, and checks what it has asked for.
func (m *migration) look(t *testing.T, p podForMultus, pod string) (a attachedPod) {
	t.Helper()
	shown := m.kubectl(t, "exec", pod, "--", "sh", "-c", "ip -o link; ip -o -4 addr; ip route show default")
	a.kernel = kernelOf(shown)
	if p.route != "" {
		if !strings.HasPrefix(pod, "m-") && !strings.HasPrefix(pod, "b-") && !strings.Contains(shown, p.route) {
			t.Errorf("%s has no %s:\n%s", pod, p.route, shown)
		}
		a.kernel = defaultsOf.ReplaceAllString(a.kernel, "default")
	}
	o := m.awaitStatus(t, pod, func(status []map[string]any) bool { return len(status) == len(p.interfaces) })
	a.status = normalizedStatus(t, o.status(t))
	for _, word := range o.requested() {
		if !strings.Contains(shown, word) {
			t.Errorf("%s has no %s:\n%s", pod, word, shown)
		}
	}
	return a
}

func (m *migration) underMultus(t *testing.T) {
	for _, node := range m.Nodes() {
		m.start(t, node, "m")
		for _, p := range podsForMultus {
			pod := podName("m", p, node)
			m.expectInterfaces(t, pod, slices.Clone(p.interfaces)...)
			m.promised[p.kind+node.Name()] = m.look(t, p, pod)
		}
	}
	m.installKactusWhere(t, "kactus=on", m.convertMultus(t, m.Nodes()[0]))
}

// expectPromised expects that Pods are as those that Multus attached.
func (m *migration) expectPromised(t *testing.T, node *cluster.Node, prefix string) {
	t.Helper()
	for _, p := range podsForMultus {
		pod := podName(prefix, p, node)
		m.expectSameAs(t, p, pod, m.promised[p.kind+node.Name()])
	}
}

func (m *migration) expectSameAs(t *testing.T, p podForMultus, pod string, want attachedPod) {
	t.Helper()
	if got := m.look(t, p, pod); got != want {
		t.Errorf("%s:\n%s\n%s\nunder Multus\n%s\n%s", pod, got.status, got.kernel, want.status, want.kernel)
	}
}

// toKactus moves a node. The other one stays as it is.
func (m *migration) toKactus(t *testing.T, node *cluster.Node) {
	m.kubectl(t, "label", "node", node.Name(), "kactus=on")
	await(t, "the node has kactus's netconf", func() (string, bool) {
		_, err := os.Stat(node.Path(netconfPath))
		return fmt.Sprint(err), err == nil
	})
	m.rolledOut(t, "-n=kube-system", "daemonset/kactus-agent")
	m.start(t, node, "k")
	m.expectPromised(t, node, "k")
	if held := len(records(t, node)); held != len(podsForMultus) {
		t.Errorf("%d records; want %d", held, len(podsForMultus))
	}
	m.expectPromised(t, node, "m") // as before
	m.expectDevices(t, node, 2)
	m.reachEachOther(t, node)
	m.deleteMultusPods(t, node)
}

// allKinds starts Pods in other ways, on a node that has kactus.
func (m *migration) allKinds(t *testing.T, node *cluster.Node) {
	if node == m.Nodes()[0] {
		m.many(t, node)
	}
	m.hotPlug(t, podName("k", podsForMultus[0], node))
	m.staticPod(t, node)
}

// expectDevices expects that the plugin nic was told of different devices on a node, that many.
func (m *migration) expectDevices(t *testing.T, node *cluster.Node, count int) {
	t.Helper()
	files, err := filepath.Glob(node.Path("/var/log/nic.ADD.*"))
	must(t, err)
	seen := map[string]bool{}
	for _, file := range files {
		var told struct{ DeviceID, PCIBusID string }
		data, err := os.ReadFile(file)
		must(t, err)
		must(t, json.Unmarshal(data, &told))
		if told.DeviceID == "" || told.PCIBusID != told.DeviceID || seen[told.DeviceID] {
			t.Errorf("nic was told %+v; others have %v", told, seen)
		}
		seen[told.DeviceID] = true
	}
	if len(seen) != count {
		t.Errorf("the devices %v; want %d", seen, count)
	}
}

// reachEachOther lets Pods of both kinds reach each other, on their own node and on the other one.
func (m *migration) reachEachOther(t *testing.T, node *cluster.Node) {
	t.Helper()
	json := podsForMultus[1]
	pod := podName("k", json, node)
	for _, other := range m.Nodes() {
		address, _, _ := strings.Cut(m.object(t, podName("m", json, other)).requested()[0], "/")
		m.kubectl(t, "exec", pod, "--", "ping", "-c", "1", "-W", "5", "-I", "net1", address)
	}
}

// hotPlug does as KubeVirt does.
func (m *migration) hotPlug(t *testing.T, pod string) {
	t.Helper()
	const ifName, mac = "pod1a2b3c4d5e6", "02:00:00:63:01:01"
	has := func(status []map[string]any) bool {
		return slices.ContainsFunc(status, func(entry map[string]any) bool {
			return entry["interface"] == ifName && entry["mac"] == mac
		})
	}
	annotate := func(networks string) {
		m.kubectl(t, "annotate", "--overwrite", "pod", pod, networksKey+"="+networks)
	}
	annotate(`[{"name":"macvlan"},{"name":"bridge","interface":"data0"},{"name":"bridge"},{"name":"disk"},` +
		`{"name":"chain","namespace":"default","mac":"` + mac + `","interface":"` + ifName + `"}]`)
	m.awaitStatus(t, pod, has)
	annotate(podsForMultus[0].annotations[networksKey])
	m.awaitStatus(t, pod, func(status []map[string]any) bool { return !has(status) })
	m.expectInterfaces(t, pod, slices.Clone(podsForMultus[0].interfaces)...)
}

// staticPod lets the kubelet start a Pod from a file.
func (m *migration) staticPod(t *testing.T, node *cluster.Node) {
	t.Helper()
	file := "/etc/kubernetes/manifests/mirrored.yaml"
	m.writeFile(t, node, file, podsForMultus[0].manifest("mirrored-list", "", 0))
	pod := "mirrored-list-" + node.Name()
	await(t, pod+" is there", func() (string, bool) {
		out, err := m.Kubectl(t.Context(), "get", "pod", pod).CombinedOutput()
		return string(out), err == nil
	})
	m.ready(t, "pod/"+pod)
	m.expectSameAs(t, podsForMultus[0], pod, m.promised["list"+node.Name()])
	must(t, os.Remove(node.Path(file)))
	m.kubectl(t, "wait", "--for=delete", "--timeout=60s", "pod/"+pod)
}

// many starts many Pods of one template at once.
func (m *migration) many(t *testing.T, node *cluster.Node) {
	t.Helper()
	const count = 15
	name := "many-" + node.Name()
	deployment := strings.Replace(workload("Deployment", name, node.Name(), "", count), `networks: ""`,
		networksKey+`: "macvlan, bridge@data0, chain"`, 1)
	m.apply(t, deployment)
	m.rolledOut(t, "deployment/"+name)
	await(t, "all have their network-status", func() (string, bool) {
		var list struct{ Items []podObject }
		must(t, json.Unmarshal([]byte(m.kubectl(t, "get", "pods", "-l", "app="+name, "-o", "json")), &list))
		done := 0
		for _, o := range list.Items {
			if len(o.status(t)) == 4 {
				done++
			}
		}
		return fmt.Sprint(done), done == count
	})
	m.kubectl(t, "delete", "deployment", name, "--wait=false")
}

// deleteMultusPods ends Pods that Multus attached to a node that has kactus now, and expects that
// nothing of them is left there.
func (m *migration) deleteMultusPods(t *testing.T, node *cluster.Node) {
	t.Helper()
	before := m.ofMultus(t, node)
	args := []string{"delete"}
	for _, p := range podsForMultus {
		if p.kind != "json" { // which stays
			args = append(args, "pod/"+podName("m", p, node))
		}
	}
	m.kubectl(t, args...)
	await(t, "Multus's files are those of the Pod that is left", func() (string, bool) {
		now := m.ofMultus(t, node)
		return fmt.Sprint(now), len(now) == 1
	})
	stays := m.ofMultus(t, node)[0]
	m.nothingOf(t, node, slices.DeleteFunc(before, func(id string) bool { return id == stays }))
}

// ofMultus returns the IDs of the containers that Multus's files on a node are about.
func (m *migration) ofMultus(t *testing.T, node *cluster.Node) (ids []string) {
	t.Helper()
	files, err := filepath.Glob(node.Path("/var/lib/cni/multus/[0-9a-f]*"))
	must(t, err)
	for _, file := range files {
		if id := filepath.Base(file); len(id) == 64 {
			ids = append(ids, id)
		}
	}
	return ids
}

// nothingOf waits until no file of CNI plugins, or about devices, is of one of the containers.
func (m *migration) nothingOf(t *testing.T, node *cluster.Node, ids []string) {
	t.Helper()
	await(t, "nothing is left of the containers", func() (string, bool) {
		pattern := "(" + strings.Join(ids, "|") + ")"
		find := "cd / && grep -rlE '" + pattern + "' var/lib/cni run/k8s.cni.cncf.io; " +
			"find var/lib/cni run/k8s.cni.cncf.io | grep -E '" + pattern + "'"
		out, _ := node.Command(t.Context(), "sh", "-c", find).CombinedOutput()
		return string(out), len(out) == 0
	})
}

// toMultus moves all nodes back, without a drain.
func (m *migration) toMultus(t *testing.T) {
	for _, node := range m.Nodes() {
		m.kubectl(t, "label", "node", node.Name(), "kactus-")
	}
	await(t, "kactus's Pods have left the nodes", func() (string, bool) {
		pods := m.kubectl(t, "-n", "kube-system", "get", "pods", "-o", "name")
		return pods, pods == ""
	})
	for _, node := range m.Nodes() {
		must(t, os.Remove(node.Path(netconfPath)))
	}
	for _, node := range m.Nodes() {
		before := records(t, node)
		m.start(t, node, "b")
		m.expectPromised(t, node, "b")
		for _, p := range podsForMultus {
			m.expectInterfaces(t, podName("k", p, node), slices.Clone(p.interfaces)...)
		}
		if now := records(t, node); len(now) != len(before) {
			t.Errorf("kactus attached Pods on %s: %q; before %q", node.Name(), now, before)
		}
	}
	m.kubectl(t, "delete", "pods", "--all", "--timeout=90s")
	for _, node := range m.Nodes() {
		await(t, "nothing is left in kactus's ledger on "+node.Name(), func() (string, bool) {
			m.on(t, node, "/opt/cni/bin/kactus", "gc")
			left := strings.Join(records(t, node), " ")
			return left, left == ""
		})
		await(t, "Multus has no files about Pods on "+node.Name(), func() (string, bool) {
			left := strings.Join(m.ofMultus(t, node), " ")
			return left, left == ""
		})
	}
	m.nothingLeft(t)
}
