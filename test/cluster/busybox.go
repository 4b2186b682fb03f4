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

// The images that every node has. BusyboxImage gives a shell, ip, ping and all else that
// busybox holds; it sleeps if it is given no command.
const (
	BusyboxImage = "busybox:1"
	sandboxImage = "docker.io/library/" + BusyboxImage
)

// busyboxImage is the one that every node needs: it serves as sandbox as well.
func busyboxImage(ctx context.Context) (Image, error) {
	const advice = "a statically linked busybox is needed, as in Debian's package busybox-static"
	binary, err := exec.LookPath("busybox")
	if err != nil {
		return Image{}, fmt.Errorf("%s: %w", advice, err)
	}
	if static, err := isStatic(binary); err != nil || !static {
		return Image{}, errors.Join(fmt.Errorf("%s is not static: %s", binary, advice), err)
	}
	applets, err := exec.CommandContext(ctx, binary, "--list").Output()
	if err != nil {
		return Image{}, fmt.Errorf("asking %s what it holds: %w", binary, err)
	}
	image := Image{Name: BusyboxImage, Files: []ImageFile{{Path: "/bin/busybox", Source: binary}}, Command: []string{"/bin/sleep", "infinity"}}
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
