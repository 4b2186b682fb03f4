package system

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// update installs another binary on the nodes while Pods start on all of them, one after the other.
func (c *testCluster) update(t *testing.T) {
	c.networks(t)
	binary, err := os.ReadFile(c.binary())
	if err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(t.TempDir(), "kactus")
	if err := os.WriteFile(newer, append(binary, "newer"...), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.Import(t.Context(), cluster.Image{Name: "kactus:newer",
		Files: []cluster.ImageFile{{Path: "/kactus", Source: newer}}}); err != nil {
		t.Fatal(err)
	}

	var started atomic.Int32
	c.whilePodsStart(t, &started, func() {
		// Update more often on a slow machine, where only few Pods start during one update.
		const enough = 10
		for c.setInstaller(t, "kactus:newer"); started.Load() < enough &&
			!t.Failed(); c.setInstaller(t, "kactus:newer") {
			c.setInstaller(t, "kactus:latest")
		}
	})
	if failed := c.kubectl(t, "get", "events", "--field-selector", "reason=FailedCreatePodSandBox",
		"-o", "name"); failed != "" {
		t.Errorf("failed sandboxes:\n%s", c.kubectl(t, "get", "events", "--field-selector", "type=Warning"))
	}
	want, err := os.ReadFile(newer)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range c.Nodes() {
		if got, err := os.ReadFile(node.Path("/opt/cni/bin/kactus")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s does not have the newer kactus (%v)", node.Name(), err)
		}
	}
}

func (c *testCluster) setInstaller(t *testing.T, image string) {
	t.Helper()
	c.kubectl(t, "-n", "kube-system", "set", "image", "daemonset/kactus", "kactus="+image)
	c.rolledOutInstaller(t)
}

// whilePodsStart starts and deletes Pods on both nodes while do runs. started counts them.
func (c *testCluster) whilePodsStart(t *testing.T, started *atomic.Int32, do func()) {
	var stop atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for !stop.Load() && !t.Failed() {
			c.startAndRemovePods(t)
			started.Add(int32(len(c.Nodes())))
		}
	}()
	defer func() {
		stop.Store(true)
		<-stopped
	}()
	do()
}

// startAndRemovePods does not end the test on failure, because it runs in another goroutine.
func (c *testCluster) startAndRemovePods(t *testing.T) {
	for _, node := range c.Nodes() {
		manifest := podManifest("churn-"+node.Name(), node.Name(), greenAndData)
		if _, err := c.RunKubectl(t.Context(), manifest, "apply", "-f", "-"); err != nil {
			t.Error(err)
		}
	}
	for _, command := range [][]string{{"wait", "--for=condition=Ready", "--timeout=60s"}, {"delete"}} {
		args := append(command, "pod/churn-node1", "pod/churn-node2")
		if _, err := c.RunKubectl(t.Context(), "", args...); err != nil {
			t.Error(err)
		}
	}
}

// rotation makes the service account anew, so that every token that was issued before is invalid:
// the nodes', and those of the running installers. Only their successors have a valid one.
func (c *testCluster) rotation(t *testing.T) {
	c.networks(t)
	first := c.nodeToken(t, c.Nodes()[0])
	c.kubectl(t, "-n", "kube-system", "delete", "serviceaccount", "kactus")
	c.kubectl(t, "apply", "-f", "manifests/kactus-serviceaccount-and-rbac.yaml")
	await(t, "the first token is refused", func() (string, bool) {
		out, err := c.Kubectl(t.Context(), "--token", first, "get", "pods").CombinedOutput()
		return string(out), err != nil && strings.Contains(string(out), "Unauthorized")
	})
	c.apply(t, podManifest("waiting", "", greenAndData))
	c.awaitWarning(t, "waiting", "401")
	if strings.Contains(c.warnings(t, "waiting"), first) {
		t.Error("the token is in the Pod's events")
	}

	c.kubectl(t, "-n", "kube-system", "rollout", "restart", "daemonset/kactus")
	c.rolledOutInstaller(t)
	c.ready(t, "pod/waiting")
	for _, node := range c.Nodes() {
		pod := "fresh-" + node.Name()
		c.apply(t, podManifest(pod, node.Name(), greenAndData))
		c.ready(t, "pod/"+pod)
		c.expectInterfaces(t, pod, "eth0", green, data)
		c.expectNodeToken(t, node)
	}
}

// nodeToken returns the token of a node's kubeconfig.
func (c *testCluster) nodeToken(t *testing.T, node *cluster.Node) string {
	t.Helper()
	kubeconfig, err := os.ReadFile(node.Path("/etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(kubeconfig), "token: ")
	token, _, _ := strings.Cut(rest, "\n")
	return token
}

// expectNodeToken checks that the apiserver takes a node's token for one that is bound to the node,
// and to no Pod.
func (c *testCluster) expectNodeToken(t *testing.T, node *cluster.Node) {
	t.Helper()
	var review struct {
		Status struct {
			UserInfo struct {
				Username string
				Extra    map[string][]string
			}
		}
	}
	out := c.kubectl(t, "--token", c.nodeToken(t, node), "auth", "whoami", "-o", "json")
	if err := json.Unmarshal([]byte(out), &review); err != nil {
		t.Fatal(err)
	}
	user := review.Status.UserInfo
	if user.Username != "system:serviceaccount:kube-system:kactus" ||
		!slices.Equal(user.Extra["authentication.kubernetes.io/node-name"], []string{node.Name()}) ||
		len(user.Extra["authentication.kubernetes.io/pod-name"]) > 0 {
		t.Errorf("the token on %s is that of %+v", node.Name(), user)
	}
}

// kubeconfigByScript runs the script in both modes, and checks the rights of the kubeconfigs that
// it writes.
func (c *testCluster) kubeconfigByScript(t *testing.T) {
	output := filepath.Join(t.TempDir(), "kubeconfig", "kactus-kubeconfig.yaml")
	foreign := t.TempDir()
	if err := os.Chown(foreign, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if out, err := c.createKubeconfig(t, "--output", filepath.Join(foreign, "kubeconfig")); err == nil ||
		!strings.Contains(out, foreign) || !strings.Contains(out, "user") {
		t.Errorf("in a directory of another user: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"--duration", "1h"}, {"--static"}} {
		if out, err := c.createKubeconfig(t, append(args, "--output", output)...); err != nil {
			t.Fatalf("create-kubeconfig.sh %q: %v\n%s", args, err, out)
		}
		if info, err := os.Stat(output); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the kubeconfig: %v, %v", info, err)
		}
		for request, want := range map[string]string{"get pods": "yes", "list pods": "no",
			"get networks.kaloom.com": "yes", "get secrets": "no",
			"-n kube-system create serviceaccounts/kactus --subresource=token":  "yes",
			"-n kube-system create serviceaccounts/default --subresource=token": "no",
			"-n default create serviceaccounts/kactus --subresource=token":      "no"} {
			out, _ := c.Kubectl(t.Context(), append([]string{"--kubeconfig", output, "auth", "can-i"},
				strings.Fields(request)...)...).Output()
			if got := strings.TrimSpace(string(out)); got != want {
				t.Errorf("with %q, can-i %s: %s, want %s", args, request, got, want)
			}
		}
	}
	c.kubectl(t, "-n", "kube-system", "delete", "secret", "kactus-token")
}

func (c *testCluster) createKubeconfig(t *testing.T, args ...string) (string, error) {
	t.Helper()
	kubectl := c.Kubectl(t.Context())
	script := exec.CommandContext(t.Context(), c.path("scripts/create-kubeconfig.sh"), args...)
	script.Env = append(kubectl.Env, "PATH="+filepath.Dir(kubectl.Path)+":"+os.Getenv("PATH"))
	out, err := script.CombinedOutput()
	return string(out), err
}
