// Package deviceinfo reads and writes device-info files (Device Information Specification of the
// Network Plumbing Working Group, 1.1.0). A device plugin has one for each of its devices, and a
// plugin that declares the capability [Capability] is passed the path of one for its attachment,
// which begins as a copy of the device's.
//
// Names of resources and IDs of devices come from others, and so do the files. A name cannot lead
// out of the directory, nothing but a regular file of a bounded size is read, and no symbolic link
// is followed.
package deviceinfo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// Capability is declared by plugins that want the path of a file for their attachment.
const Capability = "CNIDeviceInfoFile"

// DefaultDir is the directory that the specification names.
const DefaultDir = "/var/run/k8s.cni.cncf.io/devinfo"

// The directories in it: files of devices, and of attachments.
const (
	dirDevices     = "dp"
	dirAttachments = "cni"
)

// maxSize bounds a file, in bytes. What it has ends up in an annotation.
const maxSize = 16 << 10

// A Dir is the directory of all device-info files.
type Dir string

// OfDevice returns what the device plugin says of a device; nil if it says nothing.
func (d Dir) OfDevice(resource, deviceID string) (json.RawMessage, error) {
	name := noSlash(resource) + "-" + noSlash(deviceID) + "-device.json"
	return d.read(filepath.Join(dirDevices, name))
}

// Path returns the path of the file for an attachment. No other attachment has the same.
func (d Dir) Path(containerID, ifName string) string {
	return filepath.Join(string(d), attachmentFile(containerID, ifName))
}

// OfAttachment returns what the file for an attachment says; nil if there is none.
func (d Dir) OfAttachment(containerID, ifName string) (json.RawMessage, error) {
	return d.read(attachmentFile(containerID, ifName))
}

// Write makes the file for an attachment, and the directory. [Dir.Remove] undoes it. Nothing is
// synced: the directory is on a tmpfs, which ends with the network namespaces.
func (d Dir) Write(containerID, ifName string, info json.RawMessage) error {
	file := attachmentFile(containerID, ifName)
	err := d.write(file, info)
	if err != nil {
		return fmt.Errorf("write the device-info file %s: %w", filepath.Join(string(d), file), withoutPath(err))
	}
	return nil
}

// Remove removes the file for an attachment, if there is one.
func (d Dir) Remove(containerID, ifName string) error {
	file := attachmentFile(containerID, ifName)
	root, err := os.OpenRoot(string(d))
	if err == nil {
		defer root.Close()
		err = errors.Join(remove(root, file), remove(root, temporary(file)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the device-info file %s: %w", filepath.Join(string(d), file), withoutPath(err))
	}
	return nil
}

// attachmentFile returns the file for an attachment, relative to the directory. No ID of a
// container has a colon.
func attachmentFile(containerID, ifName string) string {
	return filepath.Join(dirAttachments, noSlash(containerID)+":"+noSlash(ifName))
}

func temporary(file string) string { return file + ":new" }

func noSlash(name string) string { return strings.ReplaceAll(name, "/", "-") }

func (d Dir) read(file string) (json.RawMessage, error) {
	root, err := os.OpenRoot(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var data json.RawMessage
	if err == nil {
		defer root.Close()
		data, err = readRegular(root, file)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err == nil:
		err = check(data)
	}
	if err != nil {
		return nil, fmt.Errorf("read the device-info file %s: %w", filepath.Join(string(d), file), withoutPath(err))
	}
	return data, nil
}

// readRegular reads a regular file. A symbolic link, which root would follow within itself, and a
// FIFO, which may block, are none.
func readRegular(root *os.Root, file string) ([]byte, error) {
	named, err := root.Lstat(file)
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !named.Mode().IsRegular() || !os.SameFile(named, opened) {
		return nil, errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = fmt.Errorf("larger than %d bytes", maxSize)
	}
	return data, err
}

// check reports what is not a map with a type, which the specification requires of it (3.1.1).
func check(data []byte) error {
	if err := strictjson.Check(data); err != nil {
		return err
	}
	var info struct {
		Type string `json:"type"`
	}
	if err := strictjson.Decode(data, &info); err != nil {
		return err
	}
	if info.Type == "" {
		return errors.New("type: missing")
	}
	return nil
}

func (d Dir) write(file string, data []byte) error {
	if err := os.MkdirAll(string(d), 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(dirAttachments, 0o755); err != nil {
		return err
	}
	if err := remove(root, temporary(file)); err != nil {
		return err
	}
	f, err := root.OpenFile(temporary(file), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(temporary(file), file)
	}
	return err
}

// remove removes a file that may be missing.
func remove(root *os.Root, file string) error {
	err := root.Remove(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// withoutPath returns the cause of a file error, for a message that names the file already.
func withoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
