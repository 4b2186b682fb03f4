package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Snapshot holds what a ledger's directory holds.
type Snapshot struct {
	// Records are in the order of their container IDs.
	Records []Record
	// Corrupt are the files that cannot be read as records, and those that were quarantined.
	Corrupt []CorruptRecord
}

// CorruptRecord is a file that cannot be read as a record.
type CorruptRecord struct {
	ContainerID, Path string
	// Quarantined means that an operation moved the file aside; the container may have a new
	// record.
	Quarantined bool
	// Cause is why the file cannot be read; nil if Quarantined.
	Cause error
}

// String returns a sentence for an operator.
func (c CorruptRecord) String() string {
	if c.Quarantined {
		return fmt.Sprintf("the record of the container %s was corrupt, and is quarantined as %s",
			c.ContainerID, c.Path)
	}
	return fmt.Sprintf("the record of the container %s is corrupt: %s: %v", c.ContainerID, c.Path, c.Cause)
}

// Find returns the record of that container.
func (s Snapshot) Find(containerID string) (Record, bool) {
	for _, r := range s.Records {
		if r.ContainerID == containerID {
			return r, true
		}
	}
	return Record{}, false
}

// Read reads every record, and changes nothing. No operation waits for it, since it takes no lock,
// and each record is as some operation left it. A directory that is missing holds nothing.
func (l Ledger) Read() (Snapshot, error) {
	files, err := os.ReadDir(l.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Snapshot{}, fmt.Errorf("list the ledger's directory: %w", err)
	}
	var s Snapshot
	for _, file := range files {
		path := filepath.Join(l.dir, file.Name())
		id, quarantined, ok := parseFileName(file.Name())
		switch {
		case !ok:
			continue
		case quarantined:
			s.Corrupt = append(s.Corrupt, CorruptRecord{ContainerID: id, Path: path, Quarantined: true})
			continue
		}
		record, err := l.ReadRecord(id)
		switch {
		case errors.Is(err, fs.ErrNotExist): // torn down meanwhile
		case err != nil:
			s.Corrupt = append(s.Corrupt, CorruptRecord{ContainerID: id, Path: path, Cause: err})
		default:
			s.Records = append(s.Records, record)
		}
	}
	return s, nil
}

// parseFileName returns whose record the file of that name is, and whether it is quarantined. Other
// files are not ok.
func parseFileName(name string) (containerID string, quarantined, ok bool) {
	if rest, found := strings.CutSuffix(name, ".corrupt"); found {
		at := strings.LastIndex(rest, ".json.")
		return rest[:max(at, 0)], true, at > 0
	}
	id, found := strings.CutSuffix(name, ".json")
	return id, false, found && id != ""
}

// ReadRecord reads the record of one container as Read does. The error is fs.ErrNotExist if there
// is none.
func (l Ledger) ReadRecord(containerID string) (Record, error) {
	data, err := readFile(filepath.Join(l.dir, containerID+".json"))
	if err != nil {
		return Record{}, err
	}
	return decode(data, containerID)
}
