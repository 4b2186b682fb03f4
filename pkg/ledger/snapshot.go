package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// Snapshot is what a ledger's folder holds.
type Snapshot struct {
	// Records are those of the containers, in the order of their IDs.
	Records []Record
	// Unread are the files that tell nothing, and those that were set aside because of that.
	Unread []Unread
}

// Unread is a record that cannot be read.
type Unread struct {
	ContainerID, Path string
	// Aside says that it was set aside by a verb: the container may have a new record since.
	Aside bool
	// Cause is why it does not read; nil where Aside.
	Cause error
}

// String is a sentence.
func (u Unread) String() string {
	if u.Aside {
		return fmt.Sprintf("the record of the container %s did not read, and was set aside as %s", u.ContainerID, u.Path)
	}
	return fmt.Sprintf("the record of the container %s does not read: %s: %v", u.ContainerID, u.Path, u.Cause)
}

// Find is the record of that container.
func (s Snapshot) Find(containerID string) (Record, bool) {
	for _, r := range s.Records {
		if r.ContainerID == containerID {
			return r, true
		}
	}
	return Record{}, false
}

// Read reads every record of the ledger in the folder dir, and changes nothing: it takes no lock, so no verb waits for it, and
// each record is whole, as some verb left it. A folder that is not there holds nothing.
func Read(dir string) (Snapshot, error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Snapshot{}, fmt.Errorf("list the ledger's folder: %w", err)
	}
	var s Snapshot
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		if aside := asideName.FindStringSubmatch(file.Name()); aside != nil {
			s.Unread = append(s.Unread, Unread{ContainerID: aside[1], Path: path, Aside: true})
			continue
		}
		name := recordName.FindStringSubmatch(file.Name())
		if name == nil {
			continue
		}
		record, err := ReadRecord(dir, name[1])
		switch {
		case errors.Is(err, fs.ErrNotExist): // its container was undone meanwhile
		case err != nil:
			s.Unread = append(s.Unread, Unread{ContainerID: name[1], Path: path, Cause: err})
		default:
			s.Records = append(s.Records, record)
		}
	}
	return s, nil
}

// Read is what the ledger holds: see the function of that name.
func (l Ledger) Read() (Snapshot, error) { return Read(l.dir) }

// The names of the ledger's files.
var (
	recordName = regexp.MustCompile(`^(.+)\.json$`)
	asideName  = regexp.MustCompile(`^(.+)\.json\.[0-9T.]+\.corrupt$`)
)

// ReadRecord reads one container's record as Read does. The error is fs.ErrNotExist where there is none.
func ReadRecord(dir, containerID string) (Record, error) {
	data, err := readFile(filepath.Join(dir, containerID+".json"))
	if err != nil {
		return Record{}, err
	}
	return decode(data, containerID)
}
