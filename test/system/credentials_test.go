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

// update gives the nodes another binary while Pods start on all of them, one after the other.
func (s *site) update(t *testing.T) {
	s.networks(t)
	binary, err := os.ReadFile(s.binary())
	if err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(t.TempDir(), "kactus")
	if err := os.WriteFile(newer, append(binary, "a newer one"...), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Import(t.Context(), cluster.Image{Name: "kactus:newer", Files: []cluster.ImageFile{{Path: "/kactus", Source: newer}}}); err != nil {
		t.Fatal(err)
	}

	var started atomic.Int32
	s.whilePodsStart(t, &started, func() {
		// A slow machine starts few Pods in the time of one update, and so has more of those.
		const enough = 10
		for s.setInstaller(t, "kactus:newer"); started.Load() < enough && !t.Failed(); s.setInstaller(t, "kactus:newer") {
			s.setInstaller(t, "kactus:latest")
		}
	})
	if said := s.kubectl(t, "get", "events", "--field-selector", "reason=FailedCreatePodSandBox", "-o", "name"); said != "" {
		t.Errorf("sandboxes failed:\n%s", s.kubectl(t, "get", "events", "--field-selector", "type=Warning"))
	}
	want, err := os.ReadFile(newer)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range s.Nodes() {
		if got, err := os.ReadFile(node.Path("/opt/cni/bin/kactus")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s does not have the newer kactus (%v)", node.Name(), err)
		}
	}
}

func (s *site) setInstaller(t *testing.T, image string) {
	t.Helper()
	s.kubectl(t, "-n", "kube-system", "set", "image", "daemonset/kactus", "kactus="+image)
	s.rolledOutInstaller(t)
}

// whilePodsStart starts Pods on both nodes, and removes them, as long as do runs; started says how many there were.
func (s *site) whilePodsStart(t *testing.T, started *atomic.Int32, do func()) {
	var stop atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for !stop.Load() && !t.Failed() {
			s.startAndRemovePods(t)
			started.Add(int32(len(s.Nodes())))
		}
	}()
	defer func() {
		stop.Store(true)
		<-stopped
	}()
	do()
}

// startAndRemovePods is not for the test's own goroutine alone, and so does not end the test.
func (s *site) startAndRemovePods(t *testing.T) {
	for _, node := range s.Nodes() {
		cmd := s.Kubectl(t.Context(), "apply", "-f", "-")
		cmd.Stdin = strings.NewReader(podManifest("churn-"+node.Name(), node.Name(), greenAndData))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("starting a Pod: %v\n%s", err, out)
		}
	}
	for _, verb := range [][]string{{"wait", "--for=condition=Ready", "--timeout=60s"}, {"delete"}} {
		if out, err := s.Kubectl(t.Context(), append(verb, "pod/churn-node1", "pod/churn-node2")...).CombinedOutput(); err != nil {
			t.Errorf("kubectl %q: %v\n%s", verb, err, out)
		}
	}
}

// rotation gives the installer a token that can be revoked: one bound to a Secret, in a folder of the node in place of the projected volume.
func (s *site) rotation(t *testing.T) {
	s.networks(t)
	const folder = "/var/lib/kactus-token"
	var first, second string
	for _, token := range []struct {
		secret string
		value  *string
	}{{"first", &first}, {"second", &second}} {
		s.kubectl(t, "-n", "kube-system", "create", "secret", "generic", token.secret)
		*token.value = s.kubectl(t, "-n", "kube-system", "create", "token", "kactus", "--duration=10m", "--bound-object-kind=Secret", "--bound-object-name="+token.secret)
	}
	ca := s.kubectl(t, "-n", "kube-system", "get", "configmap", "kube-root-ca.crt", "-o", `jsonpath={.data.ca\.crt}`)
	for _, node := range s.Nodes() {
		if err := os.MkdirAll(node.Path(folder), 0o700); err != nil {
			t.Fatal(err)
		}
		writeAtOnce(t, node.Path(folder+"/ca.crt"), ca)
		writeAtOnce(t, node.Path(folder+"/token"), first)
	}
	s.patchInstaller(t, fmt.Sprintf(`[
		{"op": "add", "path": "/spec/template/spec/containers/0/args/1", "value": "-service-account=/token"},
		{"op": "add", "path": "/spec/template/spec/containers/0/volumeMounts/0", "value": {"name": "token", "mountPath": "/token"}},
		{"op": "add", "path": "/spec/template/spec/volumes/0", "value": {"name": "token", "hostPath": {"path": %q}}}]`, folder))
	s.awaitToken(t, first)

	s.kubectl(t, "-n", "kube-system", "delete", "secret", "first")
	await(t, "the first token is refused", func() (string, bool) {
		out, err := s.Kubectl(t.Context(), "--token", first, "get", "pods").CombinedOutput()
		return string(out), err != nil && strings.Contains(string(out), "Unauthorized")
	})
	s.apply(t, podManifest("waiting", "", greenAndData))
	s.awaitWarning(t, "waiting", "401")
	if said := s.warnings(t, "waiting"); strings.Contains(said, first) {
		t.Error("the token is in the Pod's events")
	}

	for _, node := range s.Nodes() {
		writeAtOnce(t, node.Path(folder+"/token"), second)
	}
	s.awaitToken(t, second)
	s.ready(t, "pod/waiting")
	s.apply(t, podManifest("fresh", "", greenAndData))
	s.ready(t, "pod/fresh")
	s.expectDevices(t, "fresh", "eth0", green, data)

	s.patchInstaller(t, `[
		{"op": "remove", "path": "/spec/template/spec/containers/0/args/1"},
		{"op": "remove", "path": "/spec/template/spec/containers/0/volumeMounts/0"},
		{"op": "remove", "path": "/spec/template/spec/volumes/0"}]`)
	s.kubectl(t, "-n", "kube-system", "delete", "secret", "second")
}

func (s *site) patchInstaller(t *testing.T, patch string) {
	t.Helper()
	s.kubectl(t, "-n", "kube-system", "patch", "daemonset", "kactus", "--type=json", "-p", patch)
	s.rolledOutInstaller(t)
}

func (s *site) awaitToken(t *testing.T, token string) {
	t.Helper()
	for _, node := range s.Nodes() {
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

// kubeconfigByHand runs the script in both its ways, and asks the apiserver with what it wrote, as kactus would.
func (s *site) kubeconfigByHand(t *testing.T) {
	output := filepath.Join(t.TempDir(), "kubeconfig", "kactus-kubeconfig.yaml")
	foreign := t.TempDir()
	if err := os.Chown(foreign, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if out, err := s.createKubeconfig(t, "--output", filepath.Join(foreign, "kubeconfig")); err == nil || !strings.Contains(out, "another user's") {
		t.Errorf("in another user's folder: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"--duration", "1h"}, {"--static"}} {
		if out, err := s.createKubeconfig(t, append(args, "--output", output)...); err != nil {
			t.Fatalf("create-kubeconfig.sh %q: %v\n%s", args, err, out)
		}
		if info, err := os.Stat(output); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the kubeconfig: %v, %v", info, err)
		}
		for verb, want := range map[string]string{"get pods": "yes", "list pods": "no", "get networks.kaloom.com": "yes", "get secrets": "no"} {
			out, _ := s.Kubectl(t.Context(), append([]string{"--kubeconfig", output, "auth", "can-i"}, strings.Fields(verb)...)...).Output()
			if got := strings.TrimSpace(string(out)); got != want {
				t.Errorf("with %q, may it %s: %s, want %s", args, verb, got, want)
			}
		}
	}
	s.kubectl(t, "-n", "kube-system", "delete", "secret", "kactus-token")
}

func (s *site) createKubeconfig(t *testing.T, args ...string) (string, error) {
	t.Helper()
	kubectl := s.Kubectl(t.Context())
	script := exec.CommandContext(t.Context(), s.path("scripts/create-kubeconfig.sh"), args...)
	script.Env = append(kubectl.Env, "PATH="+filepath.Dir(kubectl.Path)+":"+os.Getenv("PATH"))
	out, err := script.CombinedOutput()
	return string(out), err
}
