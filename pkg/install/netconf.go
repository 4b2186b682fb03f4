package install

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/confdir"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// earlierName is the name under which earlier versions installed the netconf.
const earlierName = "05-kactus.conf"

func (i *Installer) netconfPath() string { return filepath.Join(i.ConfDir, filepath.Base(i.Netconf)) }

// netconf returns the Changes that install the netconf, and then the agents'. It checks that Pods
// can start with it, because once the runtime finds a netconf, the node is ready and gets Pods.
func (i *Installer) netconf() ([]Change, error) {
	content, err := os.ReadFile(i.Netconf)
	if err != nil {
		return nil, fmt.Errorf("read the netconf to install: %w", err)
	}
	i.notices = nil
	content, err = i.complete(content)
	if err == nil {
		err = i.checkNetconf(content)
	}
	if err != nil {
		return nil, fmt.Errorf("install the netconf %s: %w", i.Netconf, err)
	}
	changes, err := i.nodeNetconf(content)
	agents, agentErr := i.agentNetconf(content)
	if agents != nil {
		changes = append(changes, *agents)
	}
	for n := range changes {
		changes[n].last = true
	}
	return changes, errors.Join(err, agentErr)
}

// nodeNetconf returns the Changes that give the runtime the netconf, and no other of kactus's.
func (i *Installer) nodeNetconf(content []byte) ([]Change, error) {
	write, path, err := i.placeNetconf(content)
	if err != nil {
		return nil, err
	}
	changes, guardErr := i.checkGuard(path)
	if write != nil {
		write.Content = content
		if i.found != nil {
			write.What += ", whose default network is " + i.found.Describe()
		}
		changes = append(changes, i.guarded(*write, path))
	}
	var stale []string
	for _, other := range []string{i.netconfPath(), filepath.Join(i.ConfDir, earlierName)} {
		if other != path && isNetconf(other) && !slices.Contains(stale, other) {
			stale = append(stale, other)
			changes = append(changes, removal(other))
		}
	}
	return changes, errors.Join(guardErr, checkPrecedence(path, stale, "the runtime uses"))
}

// checkNetconf returns an error that says all that would keep Pods from starting.
func (i *Installer) checkNetconf(content []byte) error {
	conf, err := netconf.ParseFile(content)
	if err != nil {
		return err
	}
	if err := netconf.CheckName(i.Netconf, content); err != nil {
		return err
	}
	var problems []error
	if conf.Kubeconfig == "" {
		i.notices = append(i.notices, fmt.Errorf("the netconf names no kubeconfig, such as %s", i.kubeconfigPath()))
	}
	// The directory may be below another one in the installer's container.
	if path := i.kubeconfigPath(); !strings.HasSuffix(path, conf.Kubeconfig) {
		problems = append(problems, fmt.Errorf("kubeconfig: %q, but the installer writes %s", conf.Kubeconfig, path))
	}
	return errors.Join(append(problems, i.checkPlugins(conf)...)...)
}

// placeNetconf returns the Change that puts the netconf in its place, and the path. That is a file
// of its own or, if another program made a list of that file, that list.
func (i *Installer) placeNetconf(content []byte) (*Change, string, error) {
	for _, path := range configurations(i.ConfDir) {
		list, ok := readList(path)
		if !ok || !list.has(cniconf.Self) {
			continue
		}
		merged, err := list.merge(content)
		if err != nil {
			return nil, path, fmt.Errorf("update the netconf in %s: %w", path, err)
		}
		if merged == nil {
			return nil, path, nil
		}
		write, err := put(path, merged, list.mode)
		return write, path, err
	}
	write, err := put(i.netconfPath(), content, 0o600)
	return write, i.netconfPath(), err
}

// checkPrecedence returns an error if those who use a directory, and take the first configuration
// in the order of names, take another one than that at path. Those that are stale are about to be
// removed.
func checkPrecedence(path string, stale []string, users string) error {
	for _, other := range configurations(filepath.Dir(path)) {
		if other < path && !slices.Contains(stale, other) {
			return fmt.Errorf("%s %s, which sorts before %s: remove or rename the former",
				users, other, filepath.Base(path))
		}
	}
	return nil
}

// configurations returns the files of a directory that runtimes and agents read, in their order.
func configurations(dir string) []string {
	paths, _ := confdir.Files(dir)
	return paths
}

// netconfs returns the files that make the node use kactus, and then that of the agents.
func (i *Installer) netconfs() []string {
	var paths []string
	for _, path := range configurations(i.ConfDir) {
		list, ok := readList(path)
		if path == i.netconfPath() || filepath.Base(path) == earlierName && isNetconf(path) ||
			ok && list.has(cniconf.Self) {
			paths = append(paths, path)
		}
	}
	if i.Agent.Dir != "" {
		paths = append(paths, i.Agent.path())
	}
	return append(paths, i.netconfPath()+ciliumSuffix)
}

// isNetconf reports whether the file at path is a netconf, and no list.
func isNetconf(path string) bool {
	content, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	plugin, err := decode(bytes.TrimSpace(content))
	return err == nil && plugin.typeOf() == cniconf.Self
}
