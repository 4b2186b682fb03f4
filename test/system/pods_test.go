package system

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// networks makes green, a macvlan, and data, a bridge with leases.
func (s *site) networks(t *testing.T) {
	t.Helper()
	s.kubectl(t, "apply", "-f", "examples/macvlan/green-net.yaml", "-f", "examples/data-net.yaml")
}

const greenAndData = `[{"name": "green"}, {"name": "data"}]`

func (s *site) noAnnotation(t *testing.T) {
	s.apply(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: plain}\nspec: "+podSpec(""))
	s.ready(t, "pod/plain")
	s.expectDevices(t, "plain", "eth0")
	node := s.node(t, "pod/plain")
	if log := s.on(t, node, "cat", logPath); !strings.Contains(log, "default/plain") {
		t.Errorf("the log on %s does not name the Pod:\n%s", node.Name(), log)
	}
	if mode := s.on(t, node, "stat", "-c", "%a", logPath); mode != "600" {
		t.Errorf("the log on %s has the mode %s", node.Name(), mode)
	}
}

// node is the one that a Pod is on.
func (s *site) node(t *testing.T, pod string) *cluster.Node {
	t.Helper()
	name := s.kubectl(t, "get", pod, "-o", "jsonpath={.spec.nodeName}")
	for _, node := range s.Nodes() {
		if node.Name() == name {
			return node
		}
	}
	t.Fatalf("%s is on %q, which is no node", pod, name)
	return nil
}

// workload is a Deployment or a StatefulSet.
func workload(kind, name, networks string, replicas int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: %s
metadata: {name: %s}
spec:
  replicas: %d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}, annotations: {networks: %[4]q}}
    spec: %[5]s`, kind, name, replicas, networks, podSpec(""))
}

func (s *site) replicas(t *testing.T) {
	const count = 20
	s.networks(t)
	s.apply(t, workload("Deployment", "many", greenAndData, count))
	s.rolledOut(t, "deployment/many")
	for _, pod := range s.podNames(t, "app=many")[:3] {
		s.expectDevices(t, pod, "eth0", green, data)
	}
	held := 0
	for _, node := range s.Nodes() {
		held += len(records(t, node))
	}
	if held != count {
		t.Errorf("the ledgers hold %d Pods, want %d", held, count)
	}
	s.kubectl(t, "scale", "deployment/many", "--replicas=0")
	s.nothingLeft(t)
}

func (s *site) statefulSet(t *testing.T) {
	s.networks(t)
	s.apply(t, workload("StatefulSet", "web", greenAndData, 1))
	s.rolledOut(t, "statefulset/web")
	for _, how := range [][]string{{}, {"--grace-period=0", "--force"}} {
		before := s.uid(t, "web-0")
		s.kubectl(t, append([]string{"delete", "pod", "web-0"}, how...)...)
		await(t, "another web-0 is there", func() (string, bool) {
			uid, err := s.Kubectl(t.Context(), "get", "pod", "web-0", "-o", "jsonpath={.metadata.uid}").Output()
			return string(uid), err == nil && string(uid) != before
		})
		s.ready(t, "pod/web-0")
		s.expectDevices(t, "web-0", "eth0", green, data)
	}
	await(t, "the ledgers hold the new Pod alone", func() (string, bool) {
		var all []string
		for _, node := range s.Nodes() {
			all = append(all, records(t, node)...)
		}
		return fmt.Sprint(all), len(all) == 1
	})
}

func (s *site) uid(t *testing.T, pod string) string {
	t.Helper()
	return s.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
}

// deletedWhileCreated deletes each Pod as soon as kactus is at work on it, with and without grace.
func (s *site) deletedWhileCreated(t *testing.T) {
	s.networks(t)
	node := s.Nodes()[0]
	for n := range 8 {
		name := "brief" + strconv.Itoa(n)
		before := records(t, node)
		s.apply(t, podManifest(name, node.Name(), greenAndData))
		await(t, "kactus works on "+name, func() (string, bool) {
			now := records(t, node)
			return fmt.Sprint(now), slices.ContainsFunc(now, func(r string) bool { return !slices.Contains(before, r) })
		})
		if n%2 == 0 {
			s.kubectl(t, "delete", "pod", name, "--grace-period=0", "--force")
		} else {
			s.kubectl(t, "delete", "pod", name)
		}
	}
	s.nothingLeft(t)
}

func (s *site) malformedAnnotation(t *testing.T) {
	s.networks(t)
	s.apply(t, workload("Deployment", "typo", `[{"name": "green"}, {"nam": "data"}]`, 1))
	var pod string
	await(t, "the Deployment has a Pod", func() (string, bool) {
		pods := s.podNames(t, "app=typo")
		if len(pods) > 0 {
			pod = pods[0]
		}
		return "", len(pods) == 1
	})
	s.awaitWarning(t, pod, `the annotation networks of the Pod default/`+pod+`: element 1: unknown field "nam"`)
	s.apply(t, workload("Deployment", "typo", greenAndData, 1))
	s.rolledOut(t, "deployment/typo")
	s.expectDevices(t, "deployment/typo", "eth0", green, data)
}

func (s *site) networkLater(t *testing.T) {
	s.apply(t, podManifest("early", "", greenAndData))
	s.awaitWarning(t, "early", "there is no Network")
	s.networks(t)
	s.ready(t, "pod/early")
	s.expectDevices(t, "early", "eth0", green, data)
}

func (s *site) hostPort(t *testing.T) {
	one, two := s.Nodes()[0], s.Nodes()[1]
	s.apply(t, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox:1
    command: [sh, -c, 'echo it is I >index.html; exec httpd -f -p 80']
    ports: [{containerPort: 80, hostPort: 8080}]`, one.Name()))
	s.ready(t, "pod/web")
	await(t, "the other node reaches the Pod by its node's address", func() (string, bool) {
		ask := two.Command(t.Context(), "busybox", "nc", "-w", "2", one.IP().String(), "8080")
		ask.Stdin = strings.NewReader("GET / HTTP/1.0\r\n\r\n")
		out, err := ask.CombinedOutput()
		return string(out), err == nil && strings.HasSuffix(string(out), "it is I\n")
	})
}
