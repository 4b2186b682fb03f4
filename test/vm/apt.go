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

// apt runs Debian's apt commands without changing the machine. The zero value uses the machine's
// package lists.
type apt struct {
	options []string
}

// updatedLists downloads the current package lists to dir. It takes a few seconds and does not
// require root.
func updatedLists(ctx context.Context, dir string) (apt, error) {
	lists := filepath.Join(dir, "lists")
	if err := os.MkdirAll(filepath.Join(lists, "partial"), 0o755); err != nil {
		return apt{}, err
	}
	a := apt{options: []string{"-o", "Dir::State::Lists=" + lists, "-o", "Dir::Cache=" + filepath.Join(dir, "cache")}}
	_, err := a.run(ctx, dir, "apt-get", "update", "-qq")
	return a, err
}

// kernelPackage returns the name of the package with the kernel. The name contains the version, so
// it is found by the dependencies of a metapackage, whose name does not change.
func (a apt) kernelPackage(ctx context.Context) (string, error) {
	const meta = "linux-image-cloud-amd64"
	out, err := a.run(ctx, "", "apt-cache", "depends", meta)
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`Depends: (linux-image-\S+)`).FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("finding the kernel that %s depends on: not in the output of apt-cache", meta)
	}
	return string(found[1]), nil
}

// fileName returns the name of a package's file, which contains the version.
func (a apt) fileName(ctx context.Context, name string) (string, error) {
	out, err := a.run(ctx, "", "apt-get", "download", "--print-uris", name)
	if err != nil {
		return "", err
	}
	// 'URI' FILE SIZE HASH
	words := strings.Fields(string(out))
	if len(words) < 2 || filepath.Base(words[1]) != words[1] || !strings.HasSuffix(words[1], ".deb") {
		return "", fmt.Errorf("finding the file of the package %s: unexpected output of apt-get: %q", name, out)
	}
	return words[1], nil
}

// download downloads a package's file to dir. apt verifies the archive's signature.
func (a apt) download(ctx context.Context, name, dir string) error {
	_, err := a.run(ctx, dir, "apt-get", "download", "-qq", name)
	return err
}

// run runs one of apt's commands in dir and returns its standard output.
func (a apt) run(ctx context.Context, dir, command string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, command, append(args, a.options...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C") // the output is parsed
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("running %s %s: %w", command, strings.Join(args, " "), err)
	}
	return out, nil
}
