package cluster

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
)

// An Image describes a container image to make. Nodes cannot pull images.
type Image struct {
	Name       string // NAME:TAG
	Files      []ImageFile
	Entrypoint []string // if this and Command are empty, the first file
	Command    []string // the default arguments, or the command if Entrypoint is empty
}

// An ImageFile is a file or a symbolic link of an Image.
type ImageFile struct {
	Path   string // in the image; absolute
	Source string // the file to copy, with its permissions
	Link   string // the target of a symbolic link, instead of Source
}

// archive returns the image in the format of docker save: one layer, a configuration, and a
// manifest that refers to both.
func (i Image) archive() ([]byte, error) {
	if name, tag, found := strings.Cut(path.Base(i.Name), ":"); !found || name == "" || tag == "" {
		return nil, fmt.Errorf("image name %q: must have the form NAME:TAG", i.Name)
	}
	if len(i.Files) == 0 {
		return nil, fmt.Errorf("image %s: no files", i.Name)
	}
	layer, err := i.layer()
	if err != nil {
		return nil, fmt.Errorf("making the image %s: %w", i.Name, err)
	}
	entrypoint := i.Entrypoint
	if len(entrypoint) == 0 && len(i.Command) == 0 {
		entrypoint = []string{i.Files[0].Path}
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config": map[string]any{
			"Entrypoint": entrypoint, "Cmd": i.Command, "Env": []string{"PATH=/bin"}, "WorkingDir": "/",
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + sum(layer)}},
	})
	if err != nil {
		return nil, err
	}
	configName, layerName := sum(config)+".json", sum(layer)+".tar"
	manifest, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{i.Name}, "Layers": []string{layerName},
	}})
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	out := tar.NewWriter(&archive)
	for _, member := range []struct {
		name    string
		content []byte
	}{{layerName, layer}, {configName, config}, {"manifest.json", manifest}} {
		header := tar.Header{Name: member.name, Mode: 0o644, Size: int64(len(member.content))}
		if err := writeMember(out, header, bytes.NewReader(member.content)); err != nil {
			return nil, err
		}
	}
	err = out.Close()
	return archive.Bytes(), err
}

// layer returns the layer: the files, with their parent directories.
func (i Image) layer() ([]byte, error) {
	var layer bytes.Buffer
	out := tar.NewWriter(&layer)
	made := map[string]bool{".": true, "tmp": true}
	if err := writeMember(out, tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil); err != nil {
		return nil, err
	}
	for _, file := range i.Files {
		name := strings.TrimPrefix(path.Clean("/"+file.Path), "/")
		if err := writeParents(out, made, path.Dir(name)); err != nil {
			return nil, err
		}
		if err := file.write(out, name); err != nil {
			return nil, err
		}
	}
	err := out.Close()
	return layer.Bytes(), err
}

func writeParents(out *tar.Writer, made map[string]bool, dir string) error {
	if made[dir] {
		return nil
	}
	made[dir] = true
	if err := writeParents(out, made, path.Dir(dir)); err != nil {
		return err
	}
	return writeMember(out, tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
}

func (f ImageFile) write(out *tar.Writer, name string) error {
	if f.Link != "" {
		return writeMember(out, tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: f.Link, Mode: 0o777}, nil)
	}
	source, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", f.Source)
	}
	return writeMember(out, tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Size: info.Size()}, source)
}

func writeMember(out *tar.Writer, header tar.Header, content io.Reader) error {
	if err := out.WriteHeader(&header); err != nil || content == nil {
		return err
	}
	_, err := io.Copy(out, content)
	return err
}

func sum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
