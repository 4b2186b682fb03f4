package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// ciliumSuffix is what Cilium's agent appends to the names of the configurations of others, as
	// long as it is told to be the only one on the node (its option cni-exclusive).
	ciliumSuffix = ".cilium_bak"
	// alarm is how long an installer speaks of another program that took the netconf away. It is
	// longer than the time in which such a program does so again.
	alarm = time.Minute
)

// A guard notices that another program removes or renames the netconf.
type guard struct {
	path string    // where the netconf was
	last time.Time // when it was missed last
	err  error     // who takes it away, and what to do about it
}

// checkGuard returns an error if another program takes away the netconf at path, which is written
// again. Who removes it once may have had a reason.
func (i *Installer) checkGuard(path string) (changes []Change, err error) {
	copied := path + ciliumSuffix
	switch {
	case isThere(copied):
		i.guard.alert(i.now(), fmt.Errorf("keep %s: Cilium renames it to %s, and Pods that start before it is back "+
			"have the default network alone: set Cilium's Helm value cni.exclusive to false, or cni-exclusive to "+
			`"false" in the ConfigMap cilium-config`, path, filepath.Base(copied)))
		changes = append(changes, removal(copied)) // it is kactus's own
	case i.guard.path == path && !isThere(path):
		var again error
		if i.now().Sub(i.guard.last) <= alarm {
			again = fmt.Errorf("keep %s: another program removes or renames it again and again, and Pods that start "+
				"before it is back have the default network alone: find that program, and have it leave the file alone",
				path)
		}
		i.guard.alert(i.now(), again)
	}
	i.guard.path = ""
	if isThere(path) {
		i.guard.path = path
	}
	if i.now().Sub(i.guard.last) > alarm {
		return changes, nil
	}
	return changes, i.guard.err
}

func (g *guard) alert(now time.Time, err error) { g.last, g.err = now, err }

// guarded returns the Change that writes the netconf at path, after which nobody should remove it.
func (i *Installer) guarded(write Change, path string) Change {
	put := write.do
	write.do = func() error {
		err := put()
		if err == nil {
			i.guard.path = path
		}
		return err
	}
	return write
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
