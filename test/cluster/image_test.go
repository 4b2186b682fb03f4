package cluster

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestImage_Archive(t *testing.T) {
	source := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(source, []byte("binary"), 0o750); err != nil {
		t.Fatal(err)
	}
	image := Image{Name: "example.test:5000/tool:1", Files: []ImageFile{{Path: "/opt/tool", Source: source},
		{Path: "opt/alias", Link: "tool"}}}
	archive, err := image.archive()
	if err != nil {
		t.Fatal(err)
	}
	outer := untar(t, archive)
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(outer["manifest.json"].content, &manifest); err != nil || len(manifest) != 1 ||
		len(manifest[0].Layers) != 1 {
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
		t.Errorf("%d files; want two files, their directory and /tmp", len(files))
	}
}

func TestImage_ArchiveErrors(t *testing.T) {
	file := []ImageFile{{Path: "/f", Link: "g"}}
	for _, image := range []Image{{Name: "tool", Files: file}, {Name: "host:5000/tool", Files: file},
		{Name: ":1", Files: file}, {Name: "tool:1"}, {Name: "tool:1", Files: []ImageFile{{Path: "/f", Source: "/"}}}} {
		if _, err := image.archive(); err == nil || !strings.Contains(err.Error(), image.Name) {
			t.Errorf("%+v: %v; want an error with the image's name", image, err)
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
