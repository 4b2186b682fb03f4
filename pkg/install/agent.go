package install

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// AgentNetconf says where to install a netconf for node agents, and how it differs from the node's.
//
// What an agent attaches through libcni is in the CNI library's cache, which the runtime shares. At
// its start, CRI-O tears down what it finds there under the name of its own network and has not
// asked for itself. A netconf with a name of its own keeps the two apart.
type AgentNetconf struct {
	// Dir is the directory that the agents read. Empty: no such netconf.
	Dir string
	// Name is the netconf's name. Empty: the node's, followed by "-agent".
	Name string
	// CNIVersion is the netconf's cniVersion.
	CNIVersion string
}

// agentNetconfName is the name of the file. It does not depend on the node's, which may be a list.
const agentNetconfName = "00-kactus.conf"

func (a AgentNetconf) path() string { return filepath.Join(a.Dir, agentNetconfName) }

// Check returns an error if the options can never work, whatever the netconf.
func (o Options) Check() error {
	a := o.Agent
	if a.Dir == "" {
		return nil
	}
	switch versions := netconf.Versions(); {
	case within(a.Dir, o.ConfDir):
		return fmt.Errorf("the agents' netconf: the directory %s must be outside of %s, where the runtime would "+
			"use the netconf, too", a.Dir, o.ConfDir)
	case a.Name != "" && !cniconf.IsNetworkName(a.Name):
		return fmt.Errorf("the agents' netconf: name: %.64q must begin with a letter or digit and have only those, "+
			"'_', '.' and '-'", a.Name)
	case !slices.Contains(versions, a.CNIVersion):
		return fmt.Errorf("the agents' netconf: cniVersion: %.64q is not supported, must be one of %s",
			a.CNIVersion, strings.Join(versions, ", "))
	}
	return nil
}

// within reports whether a directory is the other one, or below it. The CNI library reads
// directories below that of its configurations, too.
func within(dir, other string) bool {
	rel, err := filepath.Rel(other, dir)
	if err == nil && filepath.IsLocal(rel) {
		return true
	}
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	otherInfo, err := os.Stat(other)
	return err == nil && os.SameFile(info, otherInfo) // by a link or a mount
}

// agentNetconf returns the Change that installs the agents' netconf, which follows the node's. It
// is nil if there is nothing to do.
func (i *Installer) agentNetconf(node []byte) (*Change, error) {
	if i.Agent.Dir == "" {
		return nil, nil
	}
	if err := i.Check(); err != nil {
		return nil, err
	}
	content, err := i.Agent.of(node)
	if err == nil {
		err = i.checkAgentNetconf(node, content)
	}
	if err != nil {
		return nil, fmt.Errorf("install the agents' netconf %s: %w", i.Agent.path(), err)
	}
	change, err := put(i.Agent.path(), content, 0o600)
	if err != nil {
		return nil, err
	}
	return change, checkPrecedence(i.Agent.path(), nil, "agents use")
}

// of returns the agents' netconf, which has what kactus gets of the node's.
func (a AgentNetconf) of(node []byte) ([]byte, error) {
	own, err := wantedOf(node)
	if err != nil {
		return nil, err
	}
	agents := object{}
	for _, plugin := range own.plugins {
		if !netconf.IsList(node) || plugin.typeOf() == cniconf.Self {
			maps.Copy(agents, plugin)
		}
	}
	for key, value := range map[string]any{
		"name":       cmp.Or(a.Name, nameOf(node)+"-agent"),
		"cniVersion": a.CNIVersion,
		// A GC tears down what it does not list, and an agent lists what it attached itself alone.
		"disableGC": true,
	} {
		if agents[key], err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	content, err := json.MarshalIndent(agents, "", "  ")
	return append(content, '\n'), err
}

// checkAgentNetconf returns an error if the runtime has a network of the same name, or if kactus
// would not accept the netconf.
func (i *Installer) checkAgentNetconf(node, content []byte) error {
	name := nameOf(content)
	if name == nameOf(node) {
		return fmt.Errorf("name: %q is the node's own", name)
	}
	for _, path := range configurations(i.ConfDir) {
		if other, err := os.ReadFile(path); err == nil && nameOf(other) == name {
			return fmt.Errorf("name: %q is that of %s", name, path)
		}
	}
	_, err := netconf.ParseFile(content)
	return err
}

// nameOf returns the name of a netconf or a list, and "" if it has none.
func nameOf(content []byte) (name string) {
	if o, err := decode(content); err == nil {
		_ = json.Unmarshal(o["name"], &name)
	}
	return name
}
