// Package install puts kactus on a node and keeps it up to date: the binary, the kubeconfig and,
// last, the netconf, which makes the node ready for Pods.
//
// An [Installer] compares what is on the node with what should be there, and writes the difference,
// each file in one atomic step. [Leadership] decides which of several installers on a node does so.
package install

import "fmt"

// Options say what to install where. No field has a default.
type Options struct {
	// Binary is the kactus binary to install.
	Binary string
	// BinDir is the node's directory of CNI plugins, ConfDir that of CNI configurations.
	BinDir, ConfDir string
	// Netconf is the file to install in ConfDir, under its own name.
	Netconf string
	// ServiceAccount is the directory of the service account's token and ca.crt.
	ServiceAccount string
	// Server is the apiserver's URL, as the node reaches it.
	Server string
}

// A Change is one thing that an installation does, or would do.
type Change struct {
	// What describes the change, such as "write /opt/cni/bin/kactus".
	What string
	do   func() error
}

// An Installer installs kactus on a node. It is not safe for concurrent use, but several Installers
// may work on one node at the same time, in different processes too.
type Installer struct {
	Options
	verified verifiedBinary
}

// Install installs what is missing or different on the node, and returns what it changed. It writes
// the netconf last, and only if the master delegate's plugins are there, so that no Pod is started
// before it can have a network. An invalid netconf does not replace a valid one.
func (i *Installer) Install() ([]Change, error) {
	changes, err := i.Plan()
	done, applyErr := apply(changes)
	if applyErr != nil {
		return done, applyErr
	}
	return done, err
}

// Plan returns what Install would change. An error says why Install would change nothing more.
func (i *Installer) Plan() ([]Change, error) {
	var changes []Change
	for _, step := range []func() (*Change, error){i.binary, i.kubeconfig, i.netconf} {
		change, err := step()
		if err != nil {
			return changes, err
		}
		if change != nil {
			changes = append(changes, *change)
		}
	}
	return changes, nil
}

// apply makes the changes, and returns those made before one failed.
func apply(changes []Change) ([]Change, error) {
	for n, c := range changes {
		if err := c.do(); err != nil {
			return changes[:n], fmt.Errorf("%s: %w", c.What, err)
		}
	}
	return changes, nil
}
