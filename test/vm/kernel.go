package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Kernel is a Linux kernel of Debian's, unpacked and not installed.
type Kernel struct {
	image   string // the file to boot
	modules string // the folder that is /lib/modules/RELEASE where the kernel is installed
}

// FetchKernel returns the kernel that Debian's package linux-image-cloud-amd64 stands for. It downloads the version that the machine's package lists name,
// 27 MB, into the cache, a folder, unless that holds it already; then it needs no network.
func FetchKernel(ctx context.Context, cache string) (Kernel, error) {
	kernel, err := fetchBy(ctx, apt{}, cache)
	if err != nil && ctx.Err() == nil && !errors.Is(err, exec.ErrNotFound) {
		// The machine's package lists may be missing, or name a version that the archive has replaced.
		kernel, err = fetchByNewLists(ctx, cache, err)
	}
	if err != nil {
		return Kernel{}, fmt.Errorf("fetching Debian's kernel, which takes Debian's apt: %w", err)
	}
	return kernel, nil
}

// fetchByNewLists does it without the machine's package lists; their error is told beside its own.
func fetchByNewLists(ctx context.Context, cache string, machines error) (Kernel, error) {
	scratch, err := os.MkdirTemp("", "kactus-apt-")
	if err != nil {
		return Kernel{}, err
	}
	defer os.RemoveAll(scratch)
	var kernel Kernel
	lists, err := updatedLists(ctx, scratch)
	if err == nil {
		kernel, err = fetchBy(ctx, lists, cache)
	}
	if err != nil {
		return Kernel{}, fmt.Errorf("%w\nwith new package lists: %w", machines, err)
	}
	return kernel, nil
}

// fetchBy fetches the kernel that some package lists name. A kernel's place in the cache says its version, so that one that is there is the right one.
func fetchBy(ctx context.Context, lists apt, cache string) (Kernel, error) {
	name, err := lists.kernelPackage(ctx)
	if err != nil {
		return Kernel{}, err
	}
	file, err := lists.fileName(ctx, name)
	if err != nil {
		return Kernel{}, err
	}
	dir := filepath.Join(cache, strings.TrimSuffix(file, ".deb"))
	_, err = os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = unpack(ctx, lists, name, file, dir)
	}
	if err != nil {
		return Kernel{}, err
	}
	return openKernel(dir)
}

// unpack does its work in a folder of its own and renames that: no reader ever finds half a kernel, and whoever comes second finds it there already.
func unpack(ctx context.Context, lists apt, name, file, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(dir), ".kernel-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := lists.download(ctx, name, scratch); err != nil {
		return err
	}
	root := filepath.Join(scratch, "root")
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--extract", filepath.Join(scratch, file), root)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking %s: %w\n%s", file, err, out)
	}
	err = os.Rename(root, dir)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func openKernel(dir string) (Kernel, error) {
	image, err := only(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil {
		return Kernel{}, err
	}
	modules, err := only(filepath.Join(dir, "lib", "modules", "*"))
	if err != nil {
		return Kernel{}, err
	}
	return Kernel{image: image, modules: modules}, nil
}

// only returns the one path that matches a pattern.
func only(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("looking for %s: there are %d such files, where there should be one", pattern, len(found))
	}
	return found[0], nil
}
