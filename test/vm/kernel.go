package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// A Kernel is a Linux kernel of Debian, unpacked but not installed.
type Kernel struct {
	image   string // the file to boot
	modules string // what is /lib/modules/RELEASE if installed
}

// FetchKernel returns the kernel of Debian's metapackage linux-image-cloud-amd64. It downloads the
// version in the machine's package lists, 27 MB, to the directory cache, unless that has the kernel
// already; then it needs no network.
func FetchKernel(ctx context.Context, cache string) (Kernel, error) {
	kernel, err := fetchWith(ctx, apt{}, cache)
	if err != nil && ctx.Err() == nil && !errors.Is(err, exec.ErrNotFound) {
		// The machine's package lists may be missing, or refer to a version that the archive has
		// replaced.
		kernel, err = fetchWithNewLists(ctx, cache, err)
	}
	if err != nil {
		return Kernel{}, fmt.Errorf("fetching Debian's kernel (requires apt): %w", err)
	}
	return kernel, nil
}

// fetchWithNewLists fetches the kernel with new package lists. An error includes the one that the
// machine's lists led to.
func fetchWithNewLists(ctx context.Context, cache string, machineErr error) (Kernel, error) {
	scratch, err := os.MkdirTemp("", "kactus-apt-")
	if err != nil {
		return Kernel{}, err
	}
	defer os.RemoveAll(scratch)
	var kernel Kernel
	lists, err := updatedLists(ctx, scratch)
	if err == nil {
		kernel, err = fetchWith(ctx, lists, cache)
	}
	if err != nil {
		return Kernel{}, fmt.Errorf("%w\nwith new package lists: %w", machineErr, err)
	}
	return kernel, nil
}

// fetchWith fetches the kernel that the package lists refer to. The path in the cache contains the
// version, so an existing kernel is the right one.
func fetchWith(ctx context.Context, lists apt, cache string) (Kernel, error) {
	name, err := lists.kernelPackage(ctx)
	if err != nil {
		return Kernel{}, err
	}
	file, err := lists.fileName(ctx, name)
	if err != nil {
		return Kernel{}, err
	}
	dir := filepath.Join(cache, strings.TrimSuffix(file, ".deb"))
	err = cluster.MakeDir(dir, func(dir string) error { return downloadAndUnpack(ctx, lists, name, file, dir) })
	if err != nil {
		return Kernel{}, err
	}
	return openKernel(dir)
}

// downloadAndUnpack downloads a package's file and unpacks it to dir.
func downloadAndUnpack(ctx context.Context, lists apt, name, file, dir string) error {
	scratch, err := os.MkdirTemp("", "kactus-kernel-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := lists.download(ctx, name, scratch); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--extract", filepath.Join(scratch, file), dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking %s: %w\n%s", file, err, out)
	}
	return nil
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

// only returns the single path that matches a pattern.
func only(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("looking for %s: %d files, must be one", pattern, len(found))
	}
	return found[0], nil
}
