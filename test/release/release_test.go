package release

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// A rehearsal makes what a release has, and what each file has fits the others.
func TestRelease(t *testing.T) {
	const imageName = "registry.example/cni/kactus"
	root, dir := repository(t), filepath.Join(t.TempDir(), "release")
	version, _, _ := (sourceTree{t, root}).stamps()
	image := "image: " + imageName + ":" + strings.ReplaceAll(version, "+", "-")
	output(t, root, "scripts/release.sh", "-i", imageName, "-o", dir)

	chart := "kactus-" + strings.TrimPrefix(version, "v") + ".tgz"
	files := []string{"SHA256SUMS", chart, "kactus.tar", "notes.md"}
	for arch := range machines {
		files = append(files, "kactus-linux-"+arch, "kactus-"+arch+".tar", "kactus-"+arch+".cdx.json")
	}
	for _, platform := range []string{"kubeadm", "k3s", "rke2", "microk8s", "openshift", "talos"} {
		files = append(files, "kactus-"+platform+".yaml")
		manifests := string(read(t, filepath.Join(dir, "kactus-"+platform+".yaml")))
		if n := strings.Count(manifests, image+"\n"); n != 2 || strings.Count(manifests, " image: ") != 2 {
			t.Errorf("kactus-%s.yaml has the image in %d DaemonSets, want 2:\n%s", platform, n, manifests)
		}
	}
	slices.Sort(files)
	if got := names(t, dir); !slices.Equal(got, files) {
		t.Errorf("the release has %q, want %q", got, files)
	}
	checked := output(t, dir, "sha256sum", "--check", "--strict", "SHA256SUMS")
	if strings.Count(checked, ": OK\n") != len(files)-2 { // all but itself and the notes
		t.Errorf("SHA256SUMS has other files:\n%s", checked)
	}
	for arch := range machines {
		checkReleased(t, dir, arch, version)
	}
	checkChart(t, filepath.Join(dir, chart), image)
	if notes := string(read(t, filepath.Join(dir, "notes.md"))); len(notes) < 100 || strings.Contains(notes, "\n## ") {
		t.Errorf("the notes are not one section:\n%s", notes)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

// checkReleased checks a binary of the release, which must be the one in the image.
func checkReleased(t *testing.T, dir, arch, version string) {
	t.Helper()
	binary := read(t, filepath.Join(dir, "kactus-linux-"+arch))
	checkBinary(t, binary, machines[arch], version)
	config, layer := openLayout(t, filepath.Join(dir, "kactus-"+arch+".tar")).image()
	if sum(onlyFile(t, unpack(t, config, layer))) != sum(binary) {
		t.Errorf("kactus-linux-%s is not what the image has", arch)
	}
}

// checkChart checks which image a packed chart has, as helm renders it.
func checkChart(t *testing.T, chart, image string) {
	t.Helper()
	binaries, err := cluster.Build(t.Context(), os.Stderr, cluster.Helm)
	if err != nil {
		t.Fatal(err)
	}
	rendered := output(t, t.TempDir(), binaries[cluster.Helm], "template", "kactus", chart)
	if n := strings.Count(rendered, image+"\n"); n != 2 {
		t.Errorf("%s has %q in %d DaemonSets, want 2", chart, image, n)
	}
}
