package multus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// found is a delegate's configuration that was found on the disk.
type found struct {
	config map[string]json.RawMessage
	path   string
	// remark is what an operator should know of it; mostly empty.
	remark string
}

// errNotFound is returned where no configuration on the disk has the name, which then is a NAD's.
var errNotFound = errors.New("no configuration on the disk has this name")

// hostPrefix is where Multus's manifests mount the node's directories in its containers.
const hostPrefix = "/host/"

// resolve finds what a clusterNetwork, or an element of defaultNetworks, stands for, as Multus
// does: a path of a file or a directory, or else a network's name.
func (c *conversion) resolve(value string) (found, error) {
	if !strings.Contains(value, "/") {
		return c.named(value)
	}
	at := c.onNode(value)
	info, err := fs.Stat(c.files.FS, inFS(at))
	if err != nil {
		return found{}, fmt.Errorf("read %s: %w", at, unwrapPath(err))
	}
	if !info.IsDir() {
		return c.readFile(at)
	}
	return c.first(at)
}

// onNode returns where the path is on the node: Multus may know the directory by another one, below
// /host in its container.
func (c *conversion) onNode(p string) string {
	p = path.Clean(p)
	switch {
	case c.files.Dir != "" && isConfig(p):
		return path.Join(c.files.Dir, path.Base(p))
	case c.files.Dir != "":
		return c.files.Dir
	}
	return withoutHost(p)
}

// withoutHost returns the path of what Multus's manifests mount below /host.
func withoutHost(p string) string {
	p = path.Clean(p)
	if rest, ok := strings.CutPrefix(p, hostPrefix); ok {
		return "/" + rest
	}
	return p
}

func inFS(p string) string {
	if p = strings.TrimPrefix(path.Clean(p), "/"); p != "" {
		return p
	}
	return "."
}

func isConfig(name string) bool {
	return slices.Contains([]string{".conf", ".conflist", ".json"}, path.Ext(name))
}

// named returns the configuration of that network's name in the directory that Multus searches.
func (c *conversion) named(name string) (found, error) {
	dir := c.files.Dir
	if dir == "" {
		dir = c.confDir()
	}
	f, err := c.search(dir, func(config map[string]json.RawMessage) bool { return textOf(config["name"]) == name })
	if err == nil {
		f.remark += fmt.Sprintf("; Multus prefers a NAD of that name, which must not exist: "+
			"`kubectl -n %s get net-attach-def %s`", c.namespace(), name)
	}
	return f, err
}

// first returns the first configuration of a directory that is not a meta-plugin's.
func (c *conversion) first(dir string) (found, error) {
	f, err := c.search(dir, func(map[string]json.RawMessage) bool { return true })
	if errors.Is(err, errNotFound) {
		return found{}, fmt.Errorf("no configuration in %s but Multus's and kactus's", dir)
	}
	return f, err
}

func (c *conversion) search(dir string, match func(config map[string]json.RawMessage) bool) (found, error) {
	entries, err := fs.ReadDir(c.files.FS, inFS(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return found{}, fmt.Errorf("list %s: %w", dir, unwrapPath(err))
	}
	for _, entry := range entries { // in the order of names
		if entry.IsDir() || !isConfig(entry.Name()) || strings.HasPrefix(entry.Name(), "00-multus") {
			continue
		}
		f, err := c.readFile(path.Join(dir, entry.Name()))
		switch {
		case errors.Is(err, errMeta):
		case err != nil:
			return found{}, err
		case match(f.config):
			return f, nil
		}
	}
	return found{}, errNotFound
}

// errMeta is returned for a configuration of kactus or Multus, which is none of a delegate.
var errMeta = errors.New("kactus's or Multus's own, which is no delegate")

// readFile reads a configuration, or a list with the plugins that libcni adds to it: those in the
// directory beside it that has the network's name.
func (c *conversion) readFile(at string) (found, error) {
	config, err := c.readObject(at)
	if err != nil {
		return found{}, err
	}
	if _, isList := config["plugins"]; !isList {
		if isMeta(config) {
			return found{}, fmt.Errorf("read %s: %w", at, errMeta)
		}
		return found{config: config, path: at}, nil
	}
	var plugins []map[string]json.RawMessage
	if err := json.Unmarshal(config["plugins"], &plugins); err != nil {
		return found{}, fmt.Errorf("read %s: plugins: not an array of objects", at)
	}
	if slices.ContainsFunc(plugins, isMeta) {
		return found{}, fmt.Errorf("read %s: %w", at, errMeta)
	}
	f := found{config: config, path: at}
	name := textOf(config["name"])
	if string(config["loadOnlyInlinedPlugins"]) == "true" || !cniconf.IsNetworkName(name) {
		return f, nil
	}
	dir := path.Join(path.Dir(at), name)
	more, err := c.chained(dir)
	if err != nil || len(more) == 0 {
		return f, err
	}
	f.config["plugins"] = encode(append(plugins, more...))
	f.remark = fmt.Sprintf(", with the plugins in %s as they are now", dir)
	return f, nil
}

func isMeta(config map[string]json.RawMessage) bool {
	return isMultus(config) || textOf(config["type"]) == cniconf.Self
}

// chained returns the plugins whose configurations are in a directory of a list.
func (c *conversion) chained(dir string) ([]map[string]json.RawMessage, error) {
	entries, err := fs.ReadDir(c.files.FS, inFS(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", dir, unwrapPath(err))
	}
	var plugins []map[string]json.RawMessage
	for _, entry := range entries {
		if entry.IsDir() || path.Ext(entry.Name()) != ".conf" {
			continue
		}
		plugin, err := c.readObject(path.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		plugins = append(plugins, plugin)
	}
	return plugins, nil
}

// readObject reads a JSON object from a regular file of at most the size of a delegate's
// configuration.
func (c *conversion) readObject(at string) (map[string]json.RawMessage, error) {
	info, err := fs.Stat(c.files.FS, inFS(at))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", at, unwrapPath(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", at)
	}
	file, err := c.files.FS.Open(inFS(at))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", at, unwrapPath(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, cniconf.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", at, unwrapPath(err))
	}
	config, err := parseObject(data, cniconf.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", at, err)
	}
	return config, nil
}

// unwrapPath returns the cause of an error that repeats the path, in another form.
func unwrapPath(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
