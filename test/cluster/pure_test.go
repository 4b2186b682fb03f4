package cluster

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRequestResource(t *testing.T) {
	const pods, networks = "pods", "networks.kaloom.com"
	for _, test := range []struct {
		uri, resource string
		want          bool
	}{
		{"/api/v1/pods", pods, true},
		{"/api/v1/namespaces/default/pods?limit=500", pods, true},
		{"/api/v1/namespaces/default/pods/p/status", pods, true},
		{"/api/v1/namespaces/pods", pods, false},
		{"/api/v1/namespaces/pods/services", pods, false},
		{"/apis/metrics.k8s.io/v1/namespaces/default/pods", pods, false},
		{"/apis/kaloom.com/v1/namespaces/default/networks/green", networks, true},
		{"/apis/kaloom.com/v1/networks", networks, true},
		{"/apis/kaloom.com/v1", networks, false},
		{"/apis/example.com/v1/networks", networks, false},
		{"/readyz", pods, false},
	} {
		if got := (Request{URI: test.uri}).Resource(test.resource); got != test.want {
			t.Errorf("%s is for %s: %v; want %v", test.uri, test.resource, got, test.want)
		}
	}
}

func TestParseAuditLeavesOutRequestsOfBeforeTheMark(t *testing.T) {
	log := strings.Join([]string{
		`{"auditID":"early","stage":"ResponseComplete","requestURI":"/early","responseStatus":{"code":200}}`,
		`{"auditID":"a","stage":"RequestReceived","requestURI":"/a"}`,
		`{"auditID":"b","stage":"RequestReceived","requestURI":"/b"}`,
		`{"auditID":"a","stage":"ResponseComplete","requestURI":"/a","responseStatus":{"code":404}}`,
		"",
	}, "\n")
	requests, complete, err := parseAudit([]byte(log))
	if err != nil {
		t.Fatal(err)
	}
	want := []Request{{URI: "/a", Status: 404}, {URI: "/b"}}
	if len(requests) != 2 || requests[0] != want[0] || requests[1] != want[1] {
		t.Errorf("requests: %+v; want %+v", requests, want)
	}
	if complete {
		t.Error("complete although /b is not answered")
	}
}

func TestRequiredVersion(t *testing.T) {
	const goMod = "module m\n\nrequire a.b/c v1.2.3\n\nrequire (\n\td.e/f v4.5.6 // indirect\n)\n\nreplace (\n\tg.h/i => g.h/i v7.8.9\n)\n"
	for module, want := range map[string]string{"a.b/c": "v1.2.3", "d.e/f": "v4.5.6", "g.h/i": "", "a.b": ""} {
		got, err := requiredVersion([]byte(goMod), module)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", module, got, err, want)
		}
	}
}

func TestFindRootPassesNestedModules(t *testing.T) {
	want, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := FindRoot("kubernetes")
	if err != nil || got != want {
		t.Errorf("root: %q, %v; want %q", got, err, want)
	}
	if got, err := FindRoot(t.TempDir()); err == nil {
		t.Errorf("root outside the source tree: %q", got)
	}
}

func TestOnFreePortTriesAgainWhenThePortIsTaken(t *testing.T) {
	var tried []int
	err := onFreePort(func(port int) error {
		if tried = append(tried, port); len(tried) < 3 {
			return errors.Join(errors.New("it ended"), errPortTaken)
		}
		return nil
	})
	if err != nil || len(tried) != 3 {
		t.Errorf("tried %v: %v; want three tries", tried, err)
	}
	refused := errors.New("no")
	if err := onFreePort(func(int) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("error: %v; want the one of start", err)
	}
}

func TestMeterTellsPackagesDownloadsAndTroubleApart(t *testing.T) {
	var out strings.Builder
	m := startMeter(&out, "etcd 1.0.0", 12)
	for _, text := range []string{"go: downloading a.b/c v1.0.0\nun", "icode\na.b/c\n", "# a.b/c\nc.go:1: bad", " luck\n"} {
		if _, err := m.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	m.stop()
	if got, want := m.line(), "2 of at most 12 packages compiled"; !strings.Contains(got, want) {
		t.Errorf("line: %q; want %q in it", got, want)
	}
	if got, want := strings.TrimSpace(m.tail()), "# a.b/c\nc.go:1: bad luck"; got != want {
		t.Errorf("tail: %q; want %q", got, want)
	}
}

func TestPortTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if port := listener.Addr().(*net.TCPAddr).Port; !portTaken(port) {
		t.Errorf("port %d is listened on, yet not taken", port)
	}
}

func TestBuildNamesAnUnknownPart(t *testing.T) {
	_, err := Builder{Cache: t.TempDir()}.Build(t.Context(), "kube-sink")
	if err == nil || !strings.Contains(err.Error(), "kube-sink") {
		t.Errorf("error: %v; want it to name the part", err)
	}
	if _, statErr := os.Stat("kube-sink"); statErr == nil {
		t.Error("something was built")
	}
}

func TestImageArchiveNamesItsLayerByContent(t *testing.T) {
	source := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(source, []byte("binary"), 0o750); err != nil {
		t.Fatal(err)
	}
	image := Image{Name: "example.test:5000/tool:1", Files: []ImageFile{{Path: "/opt/tool", Source: source}, {Path: "opt/alias", Link: "tool"}}}
	archive, err := image.archive()
	if err != nil {
		t.Fatal(err)
	}
	outer := untar(t, archive)
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(outer["manifest.json"].content, &manifest); err != nil || len(manifest) != 1 || len(manifest[0].Layers) != 1 {
		t.Fatalf("manifest: %s, %v", outer["manifest.json"].content, err)
	}
	layer := outer[manifest[0].Layers[0]].content
	config := string(outer[manifest[0].Config].content)
	for _, want := range []string{`"Entrypoint":["/opt/tool"]`, `"sha256:` + sum(layer) + `"`} {
		if !strings.Contains(config, want) {
			t.Errorf("configuration: %s; want %s in it", config, want)
		}
	}
	files := untar(t, layer)
	if got := files["opt/tool"]; string(got.content) != "binary" || got.Mode != 0o750 {
		t.Errorf("the file: %q, %o", got.content, got.Mode)
	}
	if got := files["opt/alias"]; got.Typeflag != tar.TypeSymlink || got.Linkname != "tool" {
		t.Errorf("the link: %+v", got.Header)
	}
	if _, found := files["opt/"]; !found || len(files) != 4 { // and tmp
		t.Errorf("%d files; want the two, their folder and /tmp", len(files))
	}
}

func TestImageArchiveRefusesWhatNoNodeTakes(t *testing.T) {
	file := []ImageFile{{Path: "/f", Link: "g"}}
	for _, image := range []Image{{Name: "tool", Files: file}, {Name: "host:5000/tool", Files: file}, {Name: ":1", Files: file}, {Name: "tool:1"}, {Name: "tool:1", Files: []ImageFile{{Path: "/f", Source: "/"}}}} {
		if _, err := image.archive(); err == nil || !strings.Contains(err.Error(), image.Name) {
			t.Errorf("%+v: %v; want an error that names it", image, err)
		}
	}
}

type member struct {
	tar.Header
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
		members[header.Name] = member{*header, content}
	}
}
