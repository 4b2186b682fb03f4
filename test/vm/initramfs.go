package vm

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"strings"
)

// File is a regular file that the guest finds when it starts. All files belong to root, and all are gone when the guest ends.
type File struct {
	Path    string      // absolute
	Mode    os.FileMode // permissions alone
	Content []byte
}

// writeInitramfs writes the files, and the folders that they are in, as the kernel wants its initial file system: a cpio archive of the format "newc".
func writeInitramfs(name string, files []File) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer out.Close()
	archive := newc{out: bufio.NewWriter(out), folders: map[string]bool{".": true}}
	for _, file := range files {
		archive.file(file)
	}
	if err := archive.close(); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return out.Close()
}

// newc writes a cpio archive. An error of the writer below stays there, until close tells it.
type newc struct {
	out     *bufio.Writer
	folders map[string]bool // those that are in the archive
}

// The types of files, as in stat(2).
const (
	typeFolder  = 0o040000
	typeRegular = 0o100000
)

func (n *newc) file(file File) {
	name := strings.TrimPrefix(path.Clean(file.Path), "/")
	n.folder(path.Dir(name))
	n.entry(name, typeRegular|uint32(file.Mode.Perm()), file.Content)
}

// folder writes the folders above it as well: the kernel makes none by itself.
func (n *newc) folder(name string) {
	if n.folders[name] {
		return
	}
	n.folders[name] = true
	n.folder(path.Dir(name))
	n.entry(name, typeFolder|0o755, nil)
}

func (n *newc) close() error {
	n.entry("TRAILER!!!", 0, nil)
	return n.out.Flush()
}

// entry writes a header of ASCII, the name, and the content. Name and content begin at multiples of four bytes, seen from the header, whose own
// length is 110.
func (n *newc) entry(name string, mode uint32, content []byte) {
	const headerSize = 110
	fmt.Fprintf(n.out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		0,    // inode number; it tells hard links apart, of which there are none
		mode, // with the type
		0, 0, // owner and group
		1, // links
		0, // time of change
		len(content),
		0, 0, 0, 0, // device numbers
		len(name)+1,
		0) // checksum, which this format has not
	n.out.WriteString(name + "\x00")
	n.pad(headerSize + len(name) + 1)
	n.out.Write(content)
	n.pad(len(content))
}

func (n *newc) pad(size int) {
	n.out.WriteString("\x00\x00\x00"[:(4-size%4)%4])
}
