package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// apt asks Debian's package archive through apt, and changes nothing of the machine's. The zero value goes by the machine's package lists.
type apt struct {
	options []string
}

// updatedLists downloads package lists as they are now into a folder. It takes some seconds, and needs no root.
func updatedLists(ctx context.Context, dir string) (apt, error) {
	lists := filepath.Join(dir, "lists")
	if err := os.MkdirAll(filepath.Join(lists, "partial"), 0o755); err != nil {
		return apt{}, err
	}
	a := apt{options: []string{"-o", "Dir::State::Lists=" + lists, "-o", "Dir::Cache=" + filepath.Join(dir, "cache")}}
	_, err := a.run(ctx, dir, "apt-get", "update", "-qq")
	return a, err
}

// kernelPackage returns the name of the package that holds the kernel. It has the version in it, and so changes; that of the one which depends
// on it does not.
func (a apt) kernelPackage(ctx context.Context) (string, error) {
	const meta = "linux-image-cloud-amd64"
	out, err := a.run(ctx, "", "apt-cache", "depends", meta)
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`Depends: (linux-image-\S+)`).FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("looking for the kernel that %s depends on: apt-cache names none", meta)
	}
	return string(found[1]), nil
}

// fileName returns the name of a package's file, which has the package's version in it.
func (a apt) fileName(ctx context.Context, name string) (string, error) {
	out, err := a.run(ctx, "", "apt-get", "download", "--print-uris", name)
	if err != nil {
		return "", err
	}
	// 'URI' FILE SIZE HASH
	words := strings.Fields(string(out))
	if len(words) < 2 || filepath.Base(words[1]) != words[1] || !strings.HasSuffix(words[1], ".deb") {
		return "", fmt.Errorf("looking for the file of the package %s: apt-get prints %q", name, out)
	}
	return words[1], nil
}

// download downloads a package's file into a folder; apt checks it against the archive's signature.
func (a apt) download(ctx context.Context, name, dir string) error {
	_, err := a.run(ctx, dir, "apt-get", "download", "-qq", name)
	return err
}

// run runs one of apt's commands in a folder.
func (a apt) run(ctx context.Context, dir, command string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, command, append(args, a.options...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C") // what it prints is read
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("running %s %s: %w", command, strings.Join(args, " "), err)
	}
	return out, nil
}
