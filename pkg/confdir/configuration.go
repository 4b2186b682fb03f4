package confdir

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// A Configuration is a CNI configuration of a file, which can be that of a node's default network.
type Configuration struct {
	// Path is the file's path.
	Path string
	// Changed is when the file got its content, or its name.
	Changed time.Time
	// List is the configuration as a list (CNI specification, section 1, "Network configuration
	// format"), with all that it had.
	List map[string]json.RawMessage
	// Chain is what kactus runs of the list.
	Chain cniconf.Chain
}

// Files returns the paths of the files in dir that runtimes read, in their order.
func Files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var paths []string
	for _, e := range entries {
		if !e.IsDir() && slices.Contains(Extensions(), filepath.Ext(e.Name())) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

// Load returns the configuration in the file at path. The error says why it cannot be that of a
// default network: it is not valid, or it is that of a meta-plugin, which needs a default network
// itself, or of the loopback interface.
func Load(path string) (Configuration, error) {
	c, err := load(path)
	if err != nil {
		return Configuration{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func load(path string) (Configuration, error) {
	content, err := read(path)
	if err != nil {
		return Configuration{}, err
	}
	c := Configuration{Path: path}
	if c.Changed, err = changed(path); err != nil {
		return Configuration{}, err
	}
	if c.List, err = listOf(path, content); err != nil {
		return Configuration{}, err
	}
	if err := reject(types(c.List)); err != nil {
		return Configuration{}, err
	}
	encoded, err := json.Marshal(c.List)
	if err != nil {
		return Configuration{}, err
	}
	c.Chain, err = cniconf.Parse(encoded, cniconf.Defaults{CNIVersion: unversioned})
	return c, err
}

// changed returns the time of the last change of the file's inode: renaming changes no
// modification time.
func changed(path string) (time.Time, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return time.Time{}, err
	}
	return time.Unix(st.Ctim.Unix()), nil
}

// unversioned is the version of a configuration that names none.
const unversioned = "0.1.0"

// listOf returns a configuration as a list, as the CNI library would read it from the file.
func listOf(path string, content []byte) (map[string]json.RawMessage, error) {
	if len(content) > cniconf.MaxSize {
		return nil, fmt.Errorf("more than %d bytes", cniconf.MaxSize)
	}
	if err := strictjson.Check(content); err != nil {
		return nil, err
	}
	var head map[string]json.RawMessage
	if err := json.Unmarshal(content, &head); err != nil || head == nil {
		return nil, errors.New("not a JSON object")
	}
	isList := filepath.Ext(path) == ".conflist"
	if _, hasPlugins := head["plugins"]; hasPlugins && !isList {
		return nil, errors.New("a list, whose file runtimes read only if its name ends in .conflist")
	}
	if !isList {
		head = listOfOne(head, content)
	}
	if _, versioned := head["cniVersions"]; !versioned && head["cniVersion"] == nil {
		head["cniVersion"] = json.RawMessage(`"` + unversioned + `"`)
	}
	err := addPlugins(head, filepath.Dir(path))
	if err == nil && head["plugins"] == nil {
		err = errors.New("plugins: missing")
	}
	return head, err
}

// listOfOne returns the list that has the configuration of one plugin.
func listOfOne(plugin map[string]json.RawMessage, content []byte) map[string]json.RawMessage {
	list := map[string]json.RawMessage{"plugins": slices.Concat([]byte("["), content, []byte("]"))}
	for _, key := range []string{"name", "cniVersion"} {
		if value, ok := plugin[key]; ok {
			list[key] = value
		}
	}
	return list
}

// addPlugins appends the plugins that a list has in files of their own: those of the directory with
// its name, below that of the list (CNI specification, "loadOnlyInlinedPlugins").
func addPlugins(list map[string]json.RawMessage, dir string) error {
	var name string
	_ = json.Unmarshal(list["name"], &name)
	if !cniconf.IsNetworkName(name) {
		return errors.New("name: missing, or no name of a network")
	}
	if raw, ok := list["loadOnlyInlinedPlugins"]; ok {
		if only, err := cniconf.ParseBool(raw); err != nil || only {
			return err
		}
	}
	paths, _ := filepath.Glob(filepath.Join(dir, name, "*.conf")) // sorted
	if len(paths) == 0 {
		return nil
	}
	var plugins []json.RawMessage
	if raw, ok := list["plugins"]; ok {
		if err := json.Unmarshal(raw, &plugins); err != nil {
			return errors.New("plugins: not an array")
		}
	}
	for _, path := range paths {
		plugin, err := read(path)
		if err == nil {
			err = strictjson.Check(plugin)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		plugins = append(plugins, plugin)
	}
	var err error
	list["plugins"], err = json.Marshal(plugins)
	// What was added is in the list now, and must not be added to it again.
	list["loadOnlyInlinedPlugins"] = json.RawMessage("true")
	return err
}

// types returns the types of a list's plugins.
func types(list map[string]json.RawMessage) []string {
	var plugins []struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(list["plugins"], &plugins)
	all := make([]string, len(plugins))
	for i, p := range plugins {
		all[i] = p.Type
	}
	return all
}

// reject returns an error if plugins of these types cannot make a default network.
func reject(types []string) error {
	for _, t := range types {
		switch t {
		case cniconf.Self:
			return errors.New("that of kactus itself")
		case "multus", "multus-shim":
			return errors.New("that of Multus, which attaches the default network of another file")
		}
	}
	if len(types) > 0 && !slices.ContainsFunc(types, func(t string) bool { return t != "loopback" }) {
		return errors.New("that of the loopback interface")
	}
	return nil
}

// Describe returns the name and the plugins, for logs.
func (c Configuration) Describe() string {
	source := cmp.Or(c.Path, "the netconf")
	return fmt.Sprintf("%s (%s) of %s", c.Chain.Name, strings.Join(c.Chain.Types(), ", "), source)
}
