// Package install puts kactus on a node and keeps it up to date: the binary, the kubeconfig with a
// token of the node's own and, last, the netconf, which makes the node ready for Pods.
//
// An [Installer] compares what is on the node with what should be there, and writes the difference,
// each file in one atomic step. [Leadership] decides which of several installers on a node does so.
package install

import (
	"errors"
	"fmt"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/confdir"
)

// Options say what to install where. No field has a default.
type Options struct {
	// Binary is the kactus binary to install.
	Binary string
	// BinDir is the node's directory of CNI plugins, ConfDir that of CNI configurations.
	BinDir, ConfDir string
	// Netconf is the file to install in ConfDir, under its own name: a netconf, or a configuration
	// list of which kactus is one plugin, whose name ends in ".conflist".
	Netconf string
	// DefaultNetwork says which configuration of the node is the master delegate of a netconf that
	// has none: Auto, the name of a network, or a file, which is in ConfDir unless the path is
	// absolute. Empty: what the file default-network beside the Netconf says, else Auto.
	DefaultNetwork string
	// Agent is about the netconf of node agents.
	Agent AgentNetconf
	// ServiceAccount is the directory of the service account's token and ca.crt.
	ServiceAccount string
	// Server is the apiserver's URL, as the node reaches it.
	Server string
	// Node is the name of the Node that the node's token is to be bound to. Empty: none.
	Node string
	// UserAgent is what requests to the apiserver identify themselves with.
	UserAgent string
}

// A Change is one thing that an installation does, or would do.
type Change struct {
	// What describes the change, such as "write /opt/cni/bin/kactus".
	What string
	// Content is what a netconf is to have, and nil where the change is not to write one.
	Content []byte
	do      func() error
	// last says that the change must not be made if another one failed.
	last bool
}

// An Installer installs kactus on a node. It is not safe for concurrent use, but several Installers
// may work on one node at the same time, in different processes too.
type Installer struct {
	Options
	account  account
	verified verifiedBinary
	clock    func() time.Time // nil: time.Now

	notices   []error
	found     *confdir.Configuration // the default network; nil: the netconf spells it out, or there is none
	goneSince time.Time              // when the file of the default network was first missed, if it is
	guard     guard
}

// Notice returns what the last Plan or Install found odd about the netconf, but no error; nil if
// nothing.
func (i *Installer) Notice() error { return errors.Join(i.notices...) }

// Found describes the default network that the last Plan or Install found for the netconf. It
// returns "" if the netconf spells one out, or there is none.
func (i *Installer) Found() string {
	if i.found == nil {
		return ""
	}
	return i.found.Describe()
}

func (i *Installer) now() time.Time {
	if i.clock != nil {
		return i.clock()
	}
	return time.Now()
}

// Install installs what is missing or different on the node, and returns what it changed. It tries
// everything and joins the errors. Only the netconf, which it writes last, waits for the rest, and
// for the plugins that a Pod needs: no Pod is started before it can have a network. An invalid
// netconf does not replace a valid one. That of the agents follows the node's.
func (i *Installer) Install() ([]Change, error) {
	changes, err := i.prerequisites()
	netconf, netconfErr := i.netconf()
	if err == nil {
		changes = append(changes, netconf...)
	}
	done, applyErr := apply(changes)
	return done, errors.Join(err, netconfErr, applyErr)
}

// Plan returns what Install would change. An error says what Install would not install, and why:
// the netconf only once everything else is there.
func (i *Installer) Plan() ([]Change, error) {
	changes, err := i.prerequisites()
	netconf, netconfErr := i.netconf()
	return append(changes, netconf...), errors.Join(err, netconfErr)
}

// prerequisites returns the Changes that come before the netconf.
func (i *Installer) prerequisites() ([]Change, error) {
	var changes []Change
	var errs []error
	for _, step := range []func() (*Change, error){i.binary, i.link, i.kubeconfig} {
		change, err := step()
		errs = append(errs, err)
		if change != nil {
			changes = append(changes, *change)
		}
	}
	return changes, errors.Join(errs...)
}

// InstallToken writes the kubeconfig if the installer has a better token than the node, and returns
// what it changed. Installers that do not lead do only this.
func (i *Installer) InstallToken() ([]Change, error) {
	change, err := i.betterKubeconfig()
	if change == nil {
		return nil, err
	}
	return apply([]Change{*change})
}

// apply makes the changes, and returns those that succeeded.
func apply(changes []Change) ([]Change, error) {
	var done []Change
	var errs []error
	for _, c := range changes {
		if c.last && len(errs) > 0 {
			break
		}
		if err := c.do(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.What, err))
			continue
		}
		done = append(done, c)
	}
	return done, errors.Join(errs...)
}
