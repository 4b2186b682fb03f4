package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// Kaloom's kactus, from which nodes are upgraded in place, keeps its records in the same directory:
// a file that has the container's ID as its name, with an array of the delegates' configurations.
// kactus reads such a record where it has none of its own. The first change of the record replaces
// the file by one in kactus's format.
//
// The file says neither which network namespace and Pod the container has, nor what the delegates'
// results were.

const (
	// predecessorIfName is what every runtime for Kubernetes names the interface of the default
	// network.
	predecessorIfName = "eth0"
	// predecessorNamespace is where all Networks are that the predecessor knows of.
	predecessorNamespace = "default"
	// predecessorVersion is the version of a configuration without cniVersion.
	predecessorVersion = "0.1.0"
)

// readPredecessorFile reads a record of the predecessor as readOne does. One that kactus has
// replaced by its own is none.
func (l Ledger) readPredecessorFile(containerID string) (Record, error) {
	if _, err := os.Lstat(filepath.Join(l.dir, containerID+".json")); err == nil {
		return Record{}, fs.ErrNotExist
	}
	record, err := readPredecessor(l.dir, containerID)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Record{}, CorruptRecord{ContainerID: containerID, Path: filepath.Join(l.dir, containerID), Cause: err}
	}
	return record, err
}

// isPredecessor reports whether the file of that name is a record of the predecessor: the name is a
// container ID. Those of Kubernetes' runtimes have no dot, and kactus's files have one.
func isPredecessor(name string) bool {
	return !strings.Contains(name, ".") && podargs.ValidateContainerID(name) == nil
}

// readPredecessor reads the predecessor's record of the container. The error is fs.ErrNotExist if
// there is none.
func readPredecessor(dir, containerID string) (Record, error) {
	if !isPredecessor(containerID) {
		return Record{}, fs.ErrNotExist
	}
	path := filepath.Join(dir, containerID)
	data, err := readFile(path)
	if err != nil {
		return Record{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Record{}, err
	}
	record, err := decodePredecessor(data, containerID)
	for i := range record.Attachments {
		record.Attachments[i].Created = info.ModTime().UTC()
	}
	return record, err
}

func decodePredecessor(data []byte, containerID string) (Record, error) {
	var delegates []map[string]json.RawMessage
	if err := unmarshal(data, &delegates); err != nil {
		return Record{}, err
	}
	record := Record{ContainerID: containerID, IfName: predecessorIfName}
	for i, delegate := range delegates {
		a, err := predecessorAttachment(delegate)
		if err != nil {
			return Record{}, fmt.Errorf("element %d: %w", i, err)
		}
		record.Attachments = append(record.Attachments, a)
	}
	return record, nil
}

func predecessorAttachment(delegate map[string]json.RawMessage) (Attachment, error) {
	if delegate == nil {
		return Attachment{}, errors.New("not a JSON object")
	}
	var name string
	if raw, ok := delegate["networkName"]; ok {
		if err := json.Unmarshal(raw, &name); err != nil {
			return Attachment{}, errors.New("networkName: not a string")
		}
	}
	isMaster := name == ""
	for _, key := range []string{"masterPlugin", "masterplugin"} {
		var set bool
		if json.Unmarshal(delegate[key], &set) == nil && set {
			isMaster = true
		}
		delete(delegate, key)
	}
	def := cniconf.Defaults{Name: "kactus", CNIVersion: predecessorVersion}
	if cniconf.IsNetworkName(name) {
		def.Name = name
	}
	chain, err := cniconf.ParseObject(delegate, def)
	if err != nil {
		return Attachment{}, err
	}
	a := Attachment{
		Attachment: plan.Attachment{Network: chain.Name, IfName: predecessorIfName, Config: chain},
		State:      Attached,
	}
	if name != "" {
		a.Network, a.Namespace = name, predecessorNamespace
	}
	if !isMaster {
		a.IfName = network.DeviceName(name)
	}
	return a, nil
}

// removePredecessor removes the predecessor's record of the container, if there is one.
func (r *LockedRecord) removePredecessor() error {
	if !isPredecessor(r.id) {
		return nil
	}
	if err := os.Remove(r.path("")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Adopt completes a record of the predecessor with what an operation knows of the container: its
// Pod, and, if ifName is not empty, the interface of its default network.
func (r *LockedRecord) Adopt(ifName string, pod podargs.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.predecessor {
		return
	}
	r.record.Pod = pod
	if _, taken := r.record.Find(ifName); taken || ifName == "" {
		ifName = r.record.IfName
	}
	for i, a := range r.record.Attachments {
		if a.IfName == r.record.IfName {
			r.record.Attachments[i].IfName = ifName
		}
		r.record.Attachments[i].Args = pod.CNIArgs("")
	}
	r.record.IfName = ifName
}
