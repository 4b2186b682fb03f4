package release

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

func TestPush(t *testing.T) {
	root, dir := repository(t), t.TempDir()
	output(t, root, "go", "build", "-C", "scripts/tools", "-o", dir, "github.com/google/go-containerregistry/cmd/crane")
	crane := filepath.Join(dir, "crane")
	registry := startRegistry(t, crane)
	image := registry + "/cni/kactus:1"
	pushed := strings.TrimSpace(output(t, root, "scripts/build-docker-image.sh", "-t", image, "-p"))
	output(t, root, "scripts/build-docker-image.sh", "-t", image, "-o", dir)
	top := openLayout(t, filepath.Join(dir, "kactus.tar")).top()
	if want := registry + "/cni/kactus@" + top.Digest; pushed != want {
		t.Errorf("-p pushed %s; want what -o writes, %s", pushed, want)
	}
	for arch := range machines {
		want := openLayout(t, filepath.Join(dir, "kactus-"+arch+".tar")).top().Digest
		got := strings.TrimSpace(output(t, root, crane, "digest", "--platform", "linux/"+arch, image))
		if got != want {
			t.Errorf("the registry has %s for %s; want %s", got, arch, want)
		}
	}
	output(t, root, crane, "validate", "--remote", image)
}

// startRegistry starts a registry, and returns its address.
func startRegistry(t *testing.T, crane string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	serve := exec.CommandContext(t.Context(), crane, "registry", "serve", "--address", address)
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		serve.Process.Kill()
		serve.Wait()
	})
	kactustest.Eventually(t, "the registry answers", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address
}
