package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// machines are the architectures of the images, with what an ELF header says of each.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

const imageName = "registry.example:5000/cni/kactus:1"

func TestImages(t *testing.T) {
	root, dir := repository(t), t.TempDir()
	output(t, root, "scripts/build-docker-image.sh", "-t", imageName, "-s", "-o", dir)
	version, commit, _ := (sourceTree{t, root}).stamps()
	all := openLayout(t, filepath.Join(dir, "kactus.tar"))
	var index struct{ Manifests []descriptor }
	all.parse(all.top(), &index)
	if len(index.Manifests) != len(machines) {
		t.Fatalf("kactus.tar has %d images; want %d", len(index.Manifests), len(machines))
	}
	for _, entry := range index.Manifests {
		arch := entry.Platform.Architecture
		t.Run(arch, func(t *testing.T) {
			one := openLayout(t, filepath.Join(dir, "kactus-"+arch+".tar"))
			if one.top().Digest != entry.Digest {
				t.Errorf("kactus-%s.tar has the image %s; kactus.tar has %s", arch, one.top().Digest, entry.Digest)
			}
			config, layer := one.image()
			checkConfig(t, config, arch, version, commit)
			checkDocker(t, one, layer)
			binary := onlyFile(t, unpack(t, config, layer))
			checkBinary(t, binary, machines[arch], version)
			checkSBOM(t, filepath.Join(dir, "kactus-"+arch+".cdx.json"), binary, version)
		})
	}
	t.Run("the same bytes again, from another user's directory", func(t *testing.T) {
		again := t.TempDir()
		output(t, again, "sh", "-c", `umask 077; exec "$@"`, "sh", filepath.Join(root, "scripts/build-docker-image.sh"),
			"-t", imageName, "-a", runtime.GOARCH, "-s", "-o", "made")
		for _, name := range []string{"kactus-" + runtime.GOARCH + ".tar", "kactus-" + runtime.GOARCH + ".cdx.json"} {
			if !bytes.Equal(read(t, filepath.Join(dir, name)), read(t, filepath.Join(again, "made", name))) {
				t.Errorf("%s is not the same", name)
			}
		}
	})
}

type imageConfig struct {
	Architecture, OS string
	Config           struct {
		Entrypoint []string
		Labels     map[string]string
	}
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	}
}

func checkConfig(t *testing.T, config imageConfig, arch, version, commit string) {
	t.Helper()
	if config.Architecture != arch || config.OS != "linux" ||
		!slices.Equal(config.Config.Entrypoint, []string{"/kactus"}) {
		t.Errorf("the configuration is %+v; want /kactus for linux/%s", config, arch)
	}
	const prefix = "org.opencontainers.image."
	for key, want := range map[string]string{"title": "kactus", "version": version, "revision": commit,
		"licenses": "Apache-2.0", "source": "https://github.com/kaloom/kubernetes-kactus-cni-plugin"} {
		if got := config.Config.Labels[prefix+key]; got != want {
			t.Errorf("the label %s is %q; want %q", key, got, want)
		}
	}
	if config.Config.Labels[prefix+"description"] == "" {
		t.Error("the image has no description")
	}
}

// checkDocker checks what docker load reads.
func checkDocker(t *testing.T, archive layout, layer []byte) {
	t.Helper()
	var images []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(archive.files["manifest.json"], &images); err != nil || len(images) != 1 {
		t.Fatalf("manifest.json: %v, %d images; want 1", err, len(images))
	}
	image := images[0]
	if archive.files[image.Config] == nil || len(image.Layers) != 1 ||
		!bytes.Equal(archive.files[image.Layers[0]], layer) || !slices.Equal(image.RepoTags, []string{imageName}) {
		t.Errorf("manifest.json has %+v; want the image's configuration, layer and name", image)
	}
}

// unpack decompresses a layer, which must then be what the configuration says.
func unpack(t *testing.T, config imageConfig, layer []byte) []byte {
	t.Helper()
	in, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"sha256:" + sum(content)}; !slices.Equal(config.RootFS.DiffIDs, want) {
		t.Errorf("the layers are %q; want %q", config.RootFS.DiffIDs, want)
	}
	return content
}

func sum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// onlyFile returns the file of a layer, which must be kactus, and executable for everybody.
func onlyFile(t *testing.T, layer []byte) []byte {
	t.Helper()
	members := untar(t, layer)
	member, found := members["kactus"]
	if !found || len(members) != 1 || member.Mode != 0o755 || member.Uid != 0 {
		t.Fatalf("the layer has %d members, kactus %v: mode %o of user %d; want one of root, mode 755",
			len(members), found, member.Mode, member.Uid)
	}
	return member.content
}

func checkBinary(t *testing.T, binary []byte, machine elf.Machine, version string) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	if file.Machine != machine {
		t.Errorf("the binary is for %s; want %s", file.Machine, machine)
	}
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP || program.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary has a segment %s; want a static one", program.Type)
		}
	}
	if file.Section(".symtab") != nil || file.Section(".debug_info") != nil {
		t.Error("the binary is not stripped")
	}
	if !bytes.Contains(binary, []byte(version)) {
		t.Errorf("the binary is not stamped with %s", version)
	}
	if machine == machines[runtime.GOARCH] {
		path := filepath.Join(t.TempDir(), "kactus")
		if err := os.WriteFile(path, binary, 0o755); err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(output(t, "/", path, "version"), "\n"); first != "kactus "+version {
			t.Errorf("kactus version prints %q first; want the label's %s", first, version)
		}
	}
}

type component struct{ Name, Version, PURL string }

// checkSBOM checks that an SBOM has kactus, Go's library and what the binary is built from, in the
// versions of go.mod, and nothing that differs from build to build.
func checkSBOM(t *testing.T, path string, binary []byte, version string) {
	t.Helper()
	var sbom struct {
		BOMFormat, SerialNumber string
		Metadata                struct {
			Timestamp string
			Component component
		}
		Components []component
	}
	if err := json.Unmarshal(read(t, path), &sbom); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	if main := sbom.Metadata.Component; sbom.BOMFormat != "CycloneDX" || main.Name != info.Main.Path ||
		main.Version != version {
		t.Errorf("%s SBOM of %+v; want CycloneDX's, of %s %s", sbom.BOMFormat, main, info.Main.Path, version)
	}
	if sbom.SerialNumber != "" || sbom.Metadata.Timestamp != "" {
		t.Errorf("serial number %q, time %q; want none", sbom.SerialNumber, sbom.Metadata.Timestamp)
	}
	want := map[string]string{"std": info.GoVersion}
	required := requirements(t)
	for _, module := range info.Deps {
		if required[module.Path] != module.Version {
			t.Errorf("the binary has %s %s; go.mod has %s", module.Path, module.Version, required[module.Path])
		}
		want[module.Path] = module.Version
	}
	for _, c := range sbom.Components {
		if want[c.Name] != c.Version || !strings.Contains(c.PURL, c.Name+"@"+c.Version) {
			t.Errorf("the SBOM has %+v; want version %s", c, want[c.Name])
		}
		delete(want, c.Name)
	}
	if len(want) > 0 {
		t.Errorf("the SBOM lacks %v", want)
	}
}

// requirements returns the modules that go.mod requires, with their versions.
func requirements(t *testing.T) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^\t(\S+) (v\S+)`).FindAllStringSubmatch(
		string(read(t, filepath.Join(repository(t), "go.mod"))), -1) {
		versions[line[1]] = line[2]
	}
	return versions
}

func TestImages_Errors(t *testing.T) {
	root := repository(t)
	empty := t.TempDir()
	for what, tt := range map[string]struct {
		args []string
		want string
	}{
		"an architecture of which there is no image": {[]string{"-a", "amd64,s390x", "-o", empty}, "s390x"},
		"an SBOM without a directory":                {[]string{"-s"}, "-s needs -o"},
		"a directory and a registry":                 {[]string{"-p", "-o", empty}, "cannot be combined"},
		"an argument":                                {[]string{"kactus:1"}, "Usage"},
	} {
		t.Run(what, func(t *testing.T) {
			code, stderr := fails(t, root, "scripts/build-docker-image.sh", tt.args...)
			if code != 2 || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d, %s; want 2 and %s", code, stderr, tt.want)
			}
		})
	}
	t.Run("no Go", func(t *testing.T) {
		t.Setenv("PATH", "/usr/bin:/bin")
		if _, err := os.Stat("/usr/bin/go"); err == nil {
			t.Skip("Go is where the system's programs are")
		}
		if code, stderr := fails(t, root, "scripts/build-docker-image.sh", "-o", empty); code != 2 ||
			!strings.Contains(stderr, "go is not in PATH") {
			t.Errorf("exit code %d, %s; want 2 and a message about go", code, stderr)
		}
	})
}

// A layout is an OCI layout, by the names of its files.
type layout struct {
	t     *testing.T
	files map[string][]byte
}

type descriptor struct {
	MediaType, Digest string
	Size              int
	Platform          struct{ Architecture, OS string }
}

// openLayout reads a layout from an archive, and checks each blob's name.
func openLayout(t *testing.T, path string) layout {
	t.Helper()
	l := layout{t, map[string][]byte{}}
	for name, member := range untar(t, read(t, path)) {
		l.files[name] = member.content
		if digest, blob := strings.CutPrefix(name, "blobs/sha256/"); blob && digest != "" &&
			digest != sum(member.content) {
			t.Errorf("%s: %s has another digest", path, name)
		}
	}
	if string(l.files["oci-layout"]) != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("%s is no OCI layout", path)
	}
	return l
}

// top returns the descriptor of what the layout has: an image, or an index of several.
func (l layout) top() descriptor {
	l.t.Helper()
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal(l.files["index.json"], &index); err != nil || len(index.Manifests) != 1 {
		l.t.Fatalf("index.json: %v, %d entries; want 1", err, len(index.Manifests))
	}
	return index.Manifests[0]
}

// image returns the configuration and the layer of the only image.
func (l layout) image() (config imageConfig, layer []byte) {
	l.t.Helper()
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	l.parse(l.top(), &manifest)
	if len(manifest.Layers) != 1 {
		l.t.Fatalf("the image has %d layers; want 1", len(manifest.Layers))
	}
	l.parse(manifest.Config, &config)
	return config, l.blob(manifest.Layers[0])
}

func (l layout) parse(d descriptor, value any) {
	l.t.Helper()
	if err := json.Unmarshal(l.blob(d), value); err != nil {
		l.t.Fatal(err)
	}
}

func (l layout) blob(d descriptor) []byte {
	l.t.Helper()
	content, found := l.files["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
	if !found || len(content) != d.Size {
		l.t.Fatalf("the layout has %d bytes of %+v", len(content), d)
	}
	return content
}

type member struct {
	*tar.Header
	content []byte
}

func untar(t *testing.T, archive []byte) map[string]member {
	t.Helper()
	members := map[string]member{}
	for in := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return members
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		members[header.Name] = member{header, content}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
