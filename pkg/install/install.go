// Package install puts kactus on a node, and keeps what it put there right: the binary, the kubeconfig, and last the netconf, with
// which the node becomes ready for Pods.
package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// Options say what is put where. No field has a default here.
type Options struct {
	// Binary is the program to install.
	Binary string
	// BinDir is the node's folder of CNI plugins, ConfDir that of CNI configurations.
	BinDir, ConfDir string
	// Netconf is the file to install in ConfDir, under its own name.
	Netconf string
	// ServiceAccount is the folder of the service account's token and ca.crt.
	ServiceAccount string
	// Server is the apiserver's URL, as the node reaches it.
	Server string
}

// Change is one thing that an installation does, or would do.
type Change struct {
	// What is a sentence: "write /opt/cni/bin/kactus".
	What string
	do   func() error
}

// Installer installs by Options. It is for one goroutine at a time; two Installers, in two processes too, may work on the same node.
type Installer struct {
	Options
	// same are the program and the node's, when they were last found to be equal.
	same [2]fs.FileInfo
}

// Install makes the node what it should be, and gives what it changed: nothing, where all was right. A file is replaced in one step, so that
// whoever reads or runs it has the old one or the new one. The netconf comes last, and only when a Pod could start with it; what an earlier
// installation left stays as it is when the new one cannot be.
func (i *Installer) Install() ([]Change, error) {
	changes, err := i.Plan()
	for n, c := range changes {
		if err := c.do(); err != nil {
			return changes[:n], fmt.Errorf("%s: %w", c.What, err)
		}
	}
	return changes, err
}

// Plan is what Install would change. The error is why it would not go further than that.
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

func (i *Installer) binaryPath() string { return filepath.Join(i.BinDir, "kactus") }

// binary: the program is some 12 MB, which is compared again only when one of the two files is another.
func (i *Installer) binary() (*Change, error) {
	program, err := os.Stat(i.Binary)
	if err != nil {
		return nil, fmt.Errorf("read the program to install: %w", err)
	}
	there, err := os.Lstat(i.binaryPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if unchanged(i.same[0], program) && unchanged(i.same[1], there) {
		return nil, nil
	}
	content, err := os.ReadFile(i.Binary)
	if err != nil {
		return nil, fmt.Errorf("read the program to install: %w", err)
	}
	change, err := put(i.binaryPath(), content, 0o755)
	if change == nil && err == nil {
		i.same = [2]fs.FileInfo{program, there}
	}
	return change, err
}

// unchanged says whether a file is the one that it was, by what the file system tells of it.
func unchanged(was, is fs.FileInfo) bool {
	return was != nil && is != nil && os.SameFile(was, is) && was.Mode() == is.Mode() && was.Size() == is.Size() && was.ModTime().Equal(is.ModTime())
}

// netconf: a node whose runtime finds a netconf is ready, and gets Pods; so they must be able to start.
func (i *Installer) netconf() (*Change, error) {
	content, err := os.ReadFile(i.Netconf)
	if err != nil {
		return nil, fmt.Errorf("read the netconf to install: %w", err)
	}
	conf, err := netconf.Parse(content)
	if err != nil {
		return nil, fmt.Errorf("the netconf %s is not installed: %w", i.Netconf, err)
	}
	for _, plugin := range conf.Master.Plugins {
		info, err := os.Stat(filepath.Join(i.BinDir, plugin.Type))
		if err == nil && (info.IsDir() || info.Mode()&0o111 == 0) {
			err = errors.New("it is not a program")
		}
		if err != nil {
			return nil, fmt.Errorf("the netconf %s is not installed: the plugin %s of its master delegate: %w", i.Netconf, plugin.Type, err)
		}
	}
	return put(i.netconfPath(), content, 0o600)
}

func (i *Installer) netconfPath() string { return filepath.Join(i.ConfDir, filepath.Base(i.Netconf)) }

// Uninstall removes what Install put on the node, the netconf first, so that no Pod starts with half of it. What is not there is
// removed already.
func (i *Installer) Uninstall() ([]Change, error) {
	changes := i.PlanUninstall()
	for n, c := range changes {
		if err := c.do(); err != nil {
			return changes[:n], fmt.Errorf("%s: %w", c.What, err)
		}
	}
	return changes, nil
}

// PlanUninstall is what Uninstall would do.
func (i *Installer) PlanUninstall() []Change {
	folder := filepath.Dir(i.kubeconfigPath())
	paths := []string{i.netconfPath(), i.kubeconfigPath()}
	if turns, err := filepath.Glob(filepath.Join(folder, turnPattern)); err == nil {
		paths = append(paths, turns...)
	}
	var changes []Change
	for _, path := range append(paths, folder, i.binaryPath()) {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			changes = append(changes, Change{What: "remove " + path, do: func() error { return removed(os.Remove(path)) }})
		}
	}
	return changes
}

// removed takes it for success that somebody else was faster.
func removed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// put is the change that gives the file at path that content and mode, and nil where it has them.
func put(path string, content []byte, mode fs.FileMode) (*Change, error) {
	info, err := os.Lstat(path)
	if err == nil && info.Mode() == mode && info.Size() == int64(len(content)) {
		there, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(there, content) {
			return nil, nil
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &Change{What: "write " + path, do: func() error { return replace(path, content, mode) }}, nil
}
