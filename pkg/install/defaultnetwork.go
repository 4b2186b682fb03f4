package install

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/confdir"
)

const (
	// Auto is the default network that is found: the first of the node that is valid.
	Auto = "auto"
	// defaultNetworkFile is the file that names the default network, in the directory of the
	// netconf to install, which is a ConfigMap's.
	defaultNetworkFile = "default-network"
	// patience is how long a default network that has gone is kept in spite of another one that was
	// there beside it. Its owner may only be starting again.
	patience = time.Minute
)

// complete returns the netconf to install: what the Netconf's file has and, if that has no master
// delegate, the node's default network as that.
func (i *Installer) complete(content []byte) ([]byte, error) {
	i.found = nil
	wanted, err := i.defaultNetwork()
	if err != nil {
		return nil, err
	}
	netconf, ok := ownOf(content)
	switch {
	case !ok:
		return content, nil // and the check says what is wrong
	case netconf.master() == nil:
	case wanted == Auto:
		return content, nil
	default:
		return nil, fmt.Errorf("find the default network %s: delegates has a master delegate already: remove it, or "+
			"do not name a default network", wanted)
	}
	found, err := i.find(wanted)
	if err != nil {
		return nil, fmt.Errorf("find the default network, because delegates has no master delegate: %w", err)
	}
	i.found = &found
	return withMaster(content, found)
}

// defaultNetwork returns which default network is wanted: Auto, a name or a file.
func (i *Installer) defaultNetwork() (string, error) {
	if i.DefaultNetwork != "" {
		return i.DefaultNetwork, nil
	}
	path := filepath.Join(filepath.Dir(i.Netconf), defaultNetworkFile)
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read which default network is wanted: %w", err)
	}
	return cmp.Or(strings.TrimSpace(string(content)), Auto), nil
}

// find returns the configuration of the default network. One that has gone stays, as the installed
// netconf has it: Pods that start meanwhile must not get another network, or none.
func (i *Installer) find(wanted string) (confdir.Configuration, error) {
	current := i.installedMaster()
	switch {
	case wanted == Auto:
		return i.findFirst(current)
	case isFile(wanted):
		path := wanted
		if !filepath.IsAbs(path) {
			path = filepath.Join(i.ConfDir, path)
		}
		found, err := confdir.Load(path)
		return i.orKept(found, err, current != nil && current.Path == path, current)
	}
	found, err := i.findNamed(wanted)
	return i.orKept(found, err, current != nil && current.Chain.Name == wanted, current)
}

// isFile reports whether a default network is named by its file, and not by the network's name.
func isFile(wanted string) bool {
	return strings.Contains(wanted, "/") || slices.Contains(confdir.Extensions(), filepath.Ext(wanted))
}

// orKept returns what was found or, if that failed, the current default network if it is the one.
func (i *Installer) orKept(
	found confdir.Configuration, err error, isCurrent bool, current *confdir.Configuration,
) (confdir.Configuration, error) {
	if err == nil || !isCurrent {
		return found, err
	}
	notice := fmt.Errorf("the default network is kept as it was, %s: %w", current.Describe(), err)
	i.notices = append(i.notices, notice)
	return *current, nil
}

func (i *Installer) findNamed(name string) (confdir.Configuration, error) {
	all, passedOver := i.candidates()
	for _, c := range all {
		if c.Chain.Name == name {
			return c, nil
		}
	}
	err := fmt.Errorf("%s has no network %s", i.ConfDir, name)
	var others []string
	for _, c := range all {
		others = append(others, c.Describe())
	}
	if len(others) > 0 {
		err = fmt.Errorf("%w; it has %s", err, strings.Join(others, ", "))
	}
	return confdir.Configuration{}, fmt.Errorf("%w%s", err, remarks(passedOver))
}

// findFirst returns the default network that a runtime would use without kactus, with one
// exception: while the file of the current one has gone, or is not valid, none takes its place that
// was there before and came after it.
func (i *Installer) findFirst(current *confdir.Configuration) (confdir.Configuration, error) {
	all, passedOver := i.candidates()
	none := fmt.Errorf("%s has no configuration of one%s", i.ConfDir, remarks(passedOver))
	if current == nil {
		if len(all) == 0 {
			return confdir.Configuration{}, none
		}
		return all[0], nil
	}
	if len(all) > 0 && i.precedes(all[0], *current) {
		i.goneSince = time.Time{}
		return all[0], nil
	}
	for _, c := range all {
		if isSuccessor(c, *current) {
			return c, nil
		}
	}
	if len(all) > 0 {
		if i.goneSince.IsZero() {
			i.goneSince = i.now()
		}
		if i.now().Sub(i.goneSince) >= patience {
			return all[0], nil
		}
		none = fmt.Errorf("its file is gone or not valid%s; %s, which was there before, takes its place after %s",
			remarks(passedOver), all[0].Describe(), patience)
	}
	return i.orKept(confdir.Configuration{}, none, true, current)
}

// precedes reports whether the configuration is the current one, or is used by runtimes before it.
// A current one of another directory was named, and counts no longer.
func (i *Installer) precedes(c, current confdir.Configuration) bool {
	if current.Path == "" {
		return false // spelled out
	}
	return filepath.Dir(current.Path) != filepath.Dir(c.Path) || c.Path <= current.Path
}

// isSuccessor reports whether a configuration takes the place of the current one, which has gone:
// it has the same name, or is younger than the netconf that has the current one. One that was
// spelled out often has no name of its own; then its plugins tell.
func isSuccessor(c, current confdir.Configuration) bool {
	return c.Chain.Name == current.Chain.Name || c.Changed.After(current.Changed) ||
		current.Path == "" && slices.Equal(c.Chain.Types(), current.Chain.Types())
}

// candidates returns the node's configurations that could be the default network's, in the order of
// the runtimes, and why others could not. It does not mention kactus's own.
func (i *Installer) candidates() (all []confdir.Configuration, passedOver []error) {
	paths, err := confdir.Files(i.ConfDir)
	if err != nil {
		passedOver = append(passedOver, err)
	}
	for _, path := range paths {
		if hasKactus(path) {
			continue
		}
		c, err := confdir.Load(path)
		if err != nil {
			passedOver = append(passedOver, err)
			continue
		}
		all = append(all, c)
	}
	return all, passedOver
}

func remarks(passedOver []error) string {
	if len(passedOver) == 0 {
		return ""
	}
	return " (passed over: " + strings.ReplaceAll(errors.Join(passedOver...).Error(), "\n", "; ") + ")"
}

// hasKactus reports whether the file at path is kactus's netconf, or a list with it.
func hasKactus(path string) bool {
	list, ok := readList(path)
	return ok && list.has(cniconf.Self) || isNetconf(path)
}
