package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Uninstall removes what Install put on the node, and returns what it removed. It removes the
// netconf first, so that no Pod is started with only a part of kactus there, and stops at what
// cannot be removed.
func (i *Installer) Uninstall() ([]Change, error) { return apply(i.PlanUninstall()) }

// PlanUninstall returns what Uninstall would remove.
func (i *Installer) PlanUninstall() []Change {
	dir := filepath.Dir(i.kubeconfigPath())
	paths := append(i.netconfs(), i.kubeconfigPath())
	if locks, err := filepath.Glob(filepath.Join(dir, lockPattern)); err == nil {
		paths = append(paths, locks...)
	}
	paths = append(paths, dir)
	if i.linked() {
		paths = append(paths, i.linkPath())
	}
	var changes []Change
	for _, path := range append(paths, i.binaryPath()) {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			changes = append(changes, removal(path))
		}
	}
	return changes
}

// removal returns the Change that removes a file.
func removal(path string) Change {
	return Change{What: "remove " + path, do: func() error { return remove(path) }, last: true}
}

// remove removes a file that another process may remove at the same time.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
