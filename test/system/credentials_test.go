package system

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// rotation gives the installer a token that can be revoked: one bound to a Secret, in a directory
// on the node instead of the projected volume.
func (c *testCluster) rotation(t *testing.T) {
	c.networks(t)
	const dir = "/var/lib/kactus-token"
	var first, second string
	for _, token := range []struct {
		secret string
		value  *string
	}{{"first", &first}, {"second", &second}} {
		c.kubectl(t, "-n", "kube-system", "create", "secret", "generic", token.secret)
		*token.value = c.kubectl(t, "-n", "kube-system", "create", "token", "kactus", "--duration=10m",
			"--bound-object-kind=Secret", "--bound-object-name="+token.secret)
	}
	ca := c.kubectl(t, "-n", "kube-system", "get", "configmap", "kube-root-ca.crt", "-o", `jsonpath={.data.ca\.crt}`)
	for _, node := range c.Nodes() {
		if err := os.MkdirAll(node.Path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
		writeAtOnce(t, node.Path(dir+"/ca.crt"), ca)
		writeAtOnce(t, node.Path(dir+"/token"), first)
	}
	c.patchInstaller(t, fmt.Sprintf(`[
		{"op": "add", "path": "/spec/template/spec/containers/0/args/1", "value": "-service-account=/token"},
		{"op": "add", "path": "/spec/template/spec/containers/0/volumeMounts/0",
			"value": {"name": "token", "mountPath": "/token"}},
		{"op": "add", "path": "/spec/template/spec/volumes/0",
			"value": {"name": "token", "hostPath": {"path": %q}}}]`, dir))
	c.awaitToken(t, first)

	c.kubectl(t, "-n", "kube-system", "delete", "secret", "first")
	await(t, "the first token is refused", func() (string, bool) {
		out, err := c.Kubectl(t.Context(), "--token", first, "get", "pods").CombinedOutput()
		return string(out), err != nil && strings.Contains(string(out), "Unauthorized")
	})
	c.apply(t, podManifest("waiting", "", greenAndData))
	c.awaitWarning(t, "waiting", "401")
	if strings.Contains(c.warnings(t, "waiting"), first) {
		t.Error("the token is in the Pod's events")
	}

	for _, node := range c.Nodes() {
		writeAtOnce(t, node.Path(dir+"/token"), second)
	}
	c.awaitToken(t, second)
	c.ready(t, "pod/waiting")
	c.apply(t, podManifest("fresh", "", greenAndData))
	c.ready(t, "pod/fresh")
	c.expectInterfaces(t, "fresh", "eth0", green, data)

	c.patchInstaller(t, `[
		{"op": "remove", "path": "/spec/template/spec/containers/0/args/1"},
		{"op": "remove", "path": "/spec/template/spec/containers/0/volumeMounts/0"},
		{"op": "remove", "path": "/spec/template/spec/volumes/0"}]`)
	c.kubectl(t, "-n", "kube-system", "delete", "secret", "second")
}

func (c *testCluster) patchInstaller(t *testing.T, patch string) {
	t.Helper()
	c.kubectl(t, "-n", "kube-system", "patch", "daemonset", "kactus", "--type=json", "-p", patch)
	c.rolledOutInstaller(t)
}

func (c *testCluster) awaitToken(t *testing.T, token string) {
	t.Helper()
	for _, node := range c.Nodes() {
		await(t, node.Name()+" has the token", func() (string, bool) {
			kubeconfig, err := os.ReadFile(node.Path("/etc/cni/net.d/kactus.d/kactus-kubeconfig.yaml"))
			return fmt.Sprint(err), strings.Contains(string(kubeconfig), token)
		})
	}
}

func writeAtOnce(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
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
			"get networks.kaloom.com": "yes", "get secrets": "no"} {
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
