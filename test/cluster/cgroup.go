package cluster

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clusterCgroup returns the cgroup of all Pods of the cluster in dir. The name is derived from dir,
// so that Down can remove the cgroup even after a crash.
func clusterCgroup(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return "/kactus-" + hex.EncodeToString(sum[:6])
}

// makeCgroup creates a cgroup in every hierarchy of the machine, as the kubelet requires of its
// root cgroup.
func makeCgroup(name string) error {
	hierarchies, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		path := filepath.Join(h.path, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return fmt.Errorf("creating a cgroup: %w", err)
		}
		if h.unified && len(hierarchies) == 1 { // otherwise other hierarchies have all controllers
			if err := delegateControllers(h.path, path); err != nil {
				return fmt.Errorf("enabling the controllers of the cgroup %s: %w", path, err)
			}
		}
	}
	return nil
}

// delegateControllers enables the root's controllers in the cgroup v2 at path and in its children.
func delegateControllers(root, path string) error {
	names, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil || len(strings.Fields(string(names))) == 0 {
		return err
	}
	enable := []byte("+" + strings.Join(strings.Fields(string(names)), " +"))
	parent := filepath.Dir(path)
	for _, dir := range []string{root, parent, path} {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), enable, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroup removes a cgroup and all cgroups below it. Its processes must have ended.
func removeCgroup(name string) error {
	hierarchies, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	var failed []error
	for _, h := range hierarchies {
		failed = append(failed, removeCgroupTree(filepath.Join(h.path, name)))
	}
	return errors.Join(failed...)
}

// removeCgroupTree removes the deepest cgroups first. The files in a cgroup go with it.
func removeCgroupTree(path string) error {
	children, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, child := range children {
		if child.IsDir() {
			if err := removeCgroupTree(filepath.Join(path, child.Name())); err != nil {
				return err
			}
		}
	}
	// A process that has just ended may still keep the cgroup busy.
	deadline := time.Now().Add(stopGrace)
	for {
		err := unix.Rmdir(path)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("removing the cgroup %s: %w", path, err)
		}
		time.Sleep(pollInterval)
	}
}

// A hierarchy is a tree of cgroups: one of version 1, or the unified one.
type hierarchy struct {
	path    string
	unified bool
}

func cgroupHierarchies() ([]hierarchy, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer mounts.Close()
	var found []hierarchy
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		mount, kind := strings.Fields(before), strings.Fields(after)
		const mountPoint = 4 // field 5 of mountinfo, see proc(5)
		if len(mount) > mountPoint && len(kind) > 0 && (kind[0] == "cgroup" || kind[0] == "cgroup2") {
			found = append(found, hierarchy{path: mount[mountPoint], unified: kind[0] == "cgroup2"})
		}
	}
	return found, lines.Err()
}
