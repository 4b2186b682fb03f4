package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Bounds in bytes. A file larger than maxSize is not read. No plan is added to a record larger than
// maxPlanned: attachments, each of which may be as large as the limits on a configuration and a
// result allow, come one after the other by hot ADDs, and every operation holds all of them in
// memory.
const (
	maxSize    = 16 << 20
	maxPlanned = 4 << 20
)

// readFile reads a regular file of this user, and follows no symbolic link.
func readFile(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return nil, err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, errors.New("not a regular file")
	case int(st.Uid) != os.Geteuid():
		return nil, fmt.Errorf("belongs to the user %d, not to %d", st.Uid, os.Geteuid())
	case st.Size > maxSize:
		return nil, fmt.Errorf("%d bytes, limit is %d", st.Size, maxSize)
	}
	return io.ReadAll(io.LimitReader(file, maxSize))
}

// replaceFile gives path new content in one step: a reader, and an operation after a crash, finds
// the old file or the new one, whole. The rename is durable once the directory is synced.
func replaceFile(path, tmp string, data []byte) error {
	err := writeFile(tmp, data)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}

func writeFile(path string, data []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		file.Close()
		return err
	}
	if err := file.Sync(); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
