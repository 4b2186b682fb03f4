package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// CorruptRecord is a file that cannot be read as a record.
type CorruptRecord struct {
	ContainerID, Path string
	// Quarantined means that an operation moved the file aside; the container may have a new
	// record.
	Quarantined bool
	// Cause is why the file cannot be read; nil if Quarantined.
	Cause error
}

// Error returns a sentence for an operator.
func (c CorruptRecord) Error() string {
	if c.Quarantined {
		return fmt.Sprintf("the record of the container %s was corrupt, and is quarantined as %s",
			c.ContainerID, c.Path)
	}
	return fmt.Sprintf("the record of the container %s is corrupt: %s: %v", c.ContainerID, c.Path, c.Cause)
}

// Records reads every record, one at a time and in the order of their container IDs, and changes
// nothing. No operation waits for it, since it takes no lock, and each record is as some operation
// left it. A directory that is missing holds nothing.
//
// The error is a CorruptRecord, after which the other records follow, or says why the directory
// cannot be listed.
func (l Ledger) Records() iter.Seq2[Record, error] {
	return read(l, decode, func(r Record) Record { return r })
}

// Head is what identifies a record to an operator.
type Head struct {
	ContainerID string
	Pod         podargs.Pod
}

// Heads reads as Records does, but of each record only the head, in a fraction of the time. A
// record whose head can be read may be corrupt.
func (l Ledger) Heads() iter.Seq2[Head, error] {
	return read(l, decodeHead, func(r Record) Head { return Head{ContainerID: r.ContainerID, Pod: r.Pod} })
}

// ReadHead reads the head of one container's record, without its lock. The error is fs.ErrNotExist
// if there is none.
func (l Ledger) ReadHead(containerID string) (Head, error) {
	data, err := readFile(l.recordPath(containerID))
	if errors.Is(err, fs.ErrNotExist) {
		record, err := readPredecessor(l.dir, containerID)
		return Head{ContainerID: containerID, Pod: record.Pod}, err
	}
	if err != nil {
		return Head{}, err
	}
	return decodeHead(data, containerID)
}

func decodeHead(data []byte, containerID string) (Head, error) {
	var disk struct {
		Pod diskPod `json:"pod"`
	}
	if err := unmarshal(data, &disk); err != nil {
		return Head{}, err
	}
	return Head{ContainerID: containerID, Pod: podargs.Pod(disk.Pod)}, nil
}

// read yields what decode makes of each record, and what fromRecord makes of the predecessor's.
func read[T any](
	l Ledger, decode func(data []byte, containerID string) (T, error), fromRecord func(Record) T,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		files, err := os.ReadDir(l.dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(none, fmt.Errorf("list the ledger's directory: %w", err))
			return
		}
		for _, file := range files {
			decoded, err := readOne(l, file.Name(), decode, fromRecord)
			if errors.Is(err, fs.ErrNotExist) { // not a record, or torn down meanwhile
				continue
			}
			if !yield(decoded, err) {
				return
			}
		}
	}
}

// readOne reads the record in the file of that name. The error is fs.ErrNotExist if the file is
// none of the ledger's, and otherwise a CorruptRecord.
func readOne[T any](
	l Ledger, name string, decode func(data []byte, containerID string) (T, error), fromRecord func(Record) T,
) (T, error) {
	var none T
	if isPredecessor(name) {
		record, err := l.readPredecessorFile(name)
		return fromRecord(record), err
	}
	id, quarantined, ok := parseFileName(name)
	if !ok {
		return none, fs.ErrNotExist
	}
	corrupt := CorruptRecord{ContainerID: id, Path: filepath.Join(l.dir, name), Quarantined: quarantined}
	if quarantined {
		return none, corrupt
	}
	data, err := readFile(corrupt.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, err
	}
	var decoded T
	if err == nil {
		decoded, err = decode(data, id)
	}
	if err != nil {
		corrupt.Cause = err
		return none, corrupt
	}
	return decoded, nil
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

// ReadRecord reads the record of one container, without its lock. The error is fs.ErrNotExist if
// there is none.
func (l Ledger) ReadRecord(containerID string) (Record, error) {
	record, err := l.readOwn(containerID)
	if errors.Is(err, fs.ErrNotExist) {
		return readPredecessor(l.dir, containerID)
	}
	return record, err
}

func (l Ledger) recordPath(containerID string) string {
	return filepath.Join(l.dir, containerID+".json")
}

func (l Ledger) readOwn(containerID string) (Record, error) {
	data, err := readFile(l.recordPath(containerID))
	if err != nil {
		return Record{}, err
	}
	return decode(data, containerID)
}
