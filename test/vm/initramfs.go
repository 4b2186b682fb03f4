package vm

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"strings"
)

// A File is a regular file in the guest's initial file system. All files belong to root, and are
// gone when the guest ends.
type File struct {
	Path    string      // absolute
	Mode    os.FileMode // permissions alone
	Content []byte
}

// writeInitramfs writes the files and their parent directories in the format of the kernel's
// initial file system, a cpio archive of the format "newc".
func writeInitramfs(name string, files []File) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer out.Close()
	archive := newc{out: bufio.NewWriter(out), dirs: map[string]bool{".": true}}
	for _, file := range files {
		archive.file(file)
	}
	if err := archive.close(); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return out.Close()
}

// newc writes a cpio archive. close returns the first error of the writer.
type newc struct {
	out  *bufio.Writer
	dirs map[string]bool // already in the archive
}

// The types of files, as in stat(2).
const (
	typeDir     = 0o040000
	typeRegular = 0o100000
)

func (n *newc) file(file File) {
	name := strings.TrimPrefix(path.Clean(file.Path), "/")
	n.dir(path.Dir(name))
	n.entry(name, typeRegular|uint32(file.Mode.Perm()), file.Content)
}

// directory writes a directory and its parents, because the kernel does not create any.
func (n *newc) dir(name string) {
	if n.dirs[name] {
		return
	}
	n.dirs[name] = true
	n.dir(path.Dir(name))
	n.entry(name, typeDir|0o755, nil)
}

func (n *newc) close() error {
	n.entry("TRAILER!!!", 0, nil)
	return n.out.Flush()
}

// entry writes an ASCII header, the name and the content. The header has 110 bytes. Name and
// content are padded to end at a multiple of four bytes.
func (n *newc) entry(name string, mode uint32, content []byte) {
	const headerSize = 110
	fmt.Fprintf(n.out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		0,    // inode number; only needed for hard links
		mode, // with the file type
		0, 0, // owner and group
		1, // links
		0, // modification time
		len(content),
		0, 0, 0, 0, // interface numbers
		len(name)+1,
		0) // checksum; not used in this format
	n.out.WriteString(name + "\x00")
	n.pad(headerSize + len(name) + 1)
	n.out.Write(content)
	n.pad(len(content))
}

func (n *newc) pad(size int) {
	n.out.WriteString("\x00\x00\x00"[:(4-size%4)%4])
}
