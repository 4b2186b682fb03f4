package cluster

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// The images that every node has. BusyboxImage provides a shell, ip, ping and the other applets of
// busybox; without a command, a container of this image sleeps.
const (
	BusyboxImage = "busybox:1"
	sandboxImage = "docker.io/library/" + BusyboxImage
)

// busyboxImage returns the image that every node needs. The sandbox of each Pod runs it too.
func busyboxImage(ctx context.Context) (Image, error) {
	const advice = "install a statically linked busybox (Debian package busybox-static)"
	binary, err := exec.LookPath("busybox")
	if err != nil {
		return Image{}, fmt.Errorf("finding busybox: %w; %s", err, advice)
	}
	if static, err := isStatic(binary); err != nil || !static {
		return Image{}, errors.Join(fmt.Errorf("%s is not statically linked; %s", binary, advice), err)
	}
	applets, err := exec.CommandContext(ctx, binary, "--list").Output()
	if err != nil {
		return Image{}, fmt.Errorf("listing the applets of %s: %w", binary, err)
	}
	image := Image{
		Name:    BusyboxImage,
		Files:   []ImageFile{{Path: "/bin/busybox", Source: binary}},
		Command: []string{"/bin/sleep", "infinity"},
	}
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			image.Files = append(image.Files, ImageFile{Path: "/bin/" + applet, Link: "busybox"})
		}
	}
	return image, nil
}

func isStatic(binary string) (bool, error) {
	file, err := elf.Open(binary)
	if err != nil {
		return false, err
	}
	defer file.Close()
	return !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }), nil
}
