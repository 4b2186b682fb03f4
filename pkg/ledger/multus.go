package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/utils"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// Multus, from which nodes move to kactus while their Pods run, keeps what it attached in a
// directory of its own: a file that has the container's ID as its name, with an array of delegates.
// Beside it, in the directory results, the CNI library has a file for each attachment, with its
// result. kactus reads them for a DEL, and for a GC, of a container that it did not attach itself.
// The first change of the record replaces the files by one in kactus's format.

// multusResults is the directory of the CNI library's files, and no container's.
const multusResults = "results"

// multusName is the network's name where a delegate's configuration has none.
const multusName = "multus-cni-network"

// multusDelegate is what matters of an element of Multus's file.
type multusDelegate struct {
	// Name is NAMESPACE/NAME of a NAD, or else the configuration's name.
	Name string
	// IfnameRequest is the interface's name, if the Pod asked for one.
	IfnameRequest string `json:"ifnameRequest"`
	// Bytes is the configuration.
	Bytes []byte
}

// multusResult is what matters of a file of the CNI library.
type multusResult struct {
	CapabilityArgs map[string]json.RawMessage `json:"capabilityArgs"`
	Result         json.RawMessage            `json:"result"`
}

// WithMultus returns the ledger with the directory in which Multus keeps what it attached; empty
// for none.
func (l Ledger) WithMultus(dir string) Ledger {
	l.multusDir = dir
	return l
}

// ReadMultus returns what Multus attached the container to, as a record. ifName is the interface of
// the default network. The error is fs.ErrNotExist if Multus attached nothing, and a CorruptRecord
// if its file cannot be read as a record.
func (l Ledger) ReadMultus(containerID, ifName string) (Record, error) {
	record, _, err := l.readMultus(containerID, ifName)
	return record, err
}

// readMultus returns the record, and the files that it was read from, the container's own last.
func (l Ledger) readMultus(containerID, ifName string) (Record, []string, error) {
	if l.multusDir == "" || !isPredecessor(containerID) || containerID == multusResults {
		return Record{}, nil, fs.ErrNotExist
	}
	path := filepath.Join(l.multusDir, containerID)
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, nil, fs.ErrNotExist
	}
	if err != nil && transient(err) {
		return Record{}, nil, fmt.Errorf("read what Multus attached: %w", err)
	}
	var record Record
	var files []string
	if err == nil {
		record, files, err = l.decodeMultus(data, containerID, ifName)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = CorruptRecord{ContainerID: containerID, Path: path, Cause: err}
	}
	return record, append(files, path), err
}

// decodeMultus returns the record, and the files of its results. The error is fs.ErrNotExist if
// kactus is one of the delegates: then it is Multus that calls kactus, and has its own DEL.
func (l Ledger) decodeMultus(data []byte, containerID, ifName string) (Record, []string, error) {
	if err := strictjson.Check(data); err != nil {
		return Record{}, nil, err
	}
	var delegates []multusDelegate
	if err := unmarshal(data, &delegates); err != nil {
		return Record{}, nil, err
	}
	if len(delegates) == 0 {
		return Record{}, nil, errors.New("no delegates")
	}
	record := Record{ContainerID: containerID, IfName: ifName}
	var files []string
	for i, delegate := range delegates {
		if delegate.isKactus() {
			return Record{}, nil, fs.ErrNotExist
		}
		a, err := delegate.attachment(i, ifName)
		if err == nil && hasInterface(record, a.IfName) {
			err = fmt.Errorf("the interface %s is there twice", a.IfName)
		}
		if err != nil {
			return Record{}, nil, fmt.Errorf("element %d: %w", i, err)
		}
		files = append(files, l.addMultusResult(&a, containerID)...)
		record.Attachments = append(record.Attachments, a)
	}
	return record, files, nil
}

func hasInterface(r Record, ifName string) bool {
	_, ok := r.Find(ifName)
	return ok
}

// isKactus reports whether one of the plugins is kactus.
func (d multusDelegate) isKactus() bool {
	var config struct {
		Type    string `json:"type"`
		Plugins []struct {
			Type string `json:"type"`
		} `json:"plugins"`
	}
	if json.Unmarshal(d.Bytes, &config) != nil {
		return false
	}
	for _, plugin := range config.Plugins {
		if plugin.Type == cniconf.Self {
			return true
		}
	}
	return config.Type == cniconf.Self
}

// attachment returns the attachment of the delegate at that position of the array.
func (d multusDelegate) attachment(index int, ifName string) (Attachment, error) {
	chain, err := cniconf.Parse(d.Bytes, cniconf.Defaults{Name: multusName, CNIVersion: predecessorVersion})
	if err != nil {
		return Attachment{}, fmt.Errorf("the configuration in Bytes: %w", err)
	}
	if index > 0 {
		ifName = fmt.Sprintf("net%d", index)
	}
	ifName = cmp.Or(d.IfnameRequest, ifName)
	if err := utils.ValidateInterfaceName(ifName); err != nil {
		return Attachment{}, fmt.Errorf("ifnameRequest: %.64q: %w", ifName, err)
	}
	a := Attachment{Attachment: plan.Attachment{Network: chain.Name, IfName: ifName, Config: chain}, State: Planned}
	if namespace, name, isNAD := strings.Cut(d.Name, "/"); isNAD {
		a.Network, a.Namespace, a.NPWG = name, namespace, true
	}
	return a, nil
}

// addMultusResult adds the result of the attachment's ADD, and what was passed for capabilities. It
// returns the files that no one needs when they are on record. An attachment whose ADD failed has
// none, and a DEL does without what cannot be read.
func (l Ledger) addMultusResult(a *Attachment, containerID string) []string {
	name := fmt.Sprintf("%s-%s-%s", a.Config.Name, containerID, a.IfName)
	path := filepath.Join(l.multusDir, multusResults, name)
	data, err := readFile(path)
	var cached multusResult
	if err != nil || json.Unmarshal(data, &cached) != nil {
		return nil
	}
	if result, err := cniconf.ParseResult(cached.Result); err == nil {
		if a.Result, err = cniconf.EncodeResult(result, a.Config.CNIVersion); err == nil {
			a.State = Attached
		}
	}
	a.RuntimeConfig = cached.CapabilityArgs
	return append(deviceInfoFile(cached), path)
}

// deviceInfoDir is where the CNI's device information is (device-info specification 1.1.0).
const deviceInfoDir = "/var/run/k8s.cni.cncf.io/devinfo/cni"

// deviceInfoFile returns the file with the device's information that Multus made for the
// attachment.
func deviceInfoFile(cached multusResult) []string {
	var path string
	_ = json.Unmarshal(cached.CapabilityArgs["CNIDeviceInfoFile"], &path)
	if filepath.Dir(path) != deviceInfoDir {
		return nil
	}
	return []string{path}
}

// AdoptMultus makes what Multus attached the container to a part of its record, if kactus did not
// attach it to its default network itself. ns and pod are what the operation knows of them, ifName
// is the interface of the default network. The record is not written before its first change, and
// then Multus's files are removed.
//
// A file that cannot be read as a record is quarantined: corrupt says why, and where it is.
func (r *LockedRecord) AdoptMultus(ns netns.ID, ifName string, pod podargs.Pod) (corrupt, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.record.IfName != "" || r.corrupt != nil {
		return nil, nil
	}
	record, files, err := r.ledger.readMultus(r.id, ifName)
	var broken CorruptRecord
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.As(err, &broken):
		return quarantineMultus(broken)
	case err != nil:
		return nil, err
	}
	created := time.Now().UTC()
	for _, a := range record.Attachments {
		if hasInterface(r.record, a.IfName) {
			continue
		}
		a.Args, a.Created = pod.CNIArgs(""), created
		r.record.Attachments = append(r.record.Attachments, a)
	}
	r.record.IfName, r.record.Pod, r.adopted = ifName, pod, files
	if r.record.Netns.IsZero() {
		r.record.Netns = ns
	}
	return nil, nil
}

// quarantineMultus moves a file of Multus's aside.
func quarantineMultus(broken CorruptRecord) (corrupt, err error) {
	aside := broken.Path + time.Now().UTC().Format(".20060102T150405.000000000") + ".corrupt"
	if err := os.Rename(broken.Path, aside); err != nil {
		return nil, fmt.Errorf("quarantine what Multus attached: %w", err)
	}
	return fmt.Errorf("what Multus attached cannot be read, and is quarantined as %s: %w", aside, broken.Cause), nil
}

// removeAdopted removes the files of Multus that the record was read from, once the record's own is
// on the disk: they are in another directory, and could be gone before it after a loss of power.
func (r *LockedRecord) removeAdopted() error {
	if len(r.adopted) == 0 {
		return nil
	}
	if err := syncDir(r.ledger.dir); err != nil {
		return err
	}
	for _, path := range r.adopted { // the container's own is the last
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	r.adopted = nil
	return nil
}
