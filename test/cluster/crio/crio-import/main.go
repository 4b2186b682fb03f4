//go:build containers_image_openpgp

// Command crio-import loads the images of a docker archive, read from standard input, into CRI-O's
// storage. CRI-O has no command for that; it may run meanwhile. Without the build tag, the packages
// that this one imports need C libraries.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	imagecopy "github.com/containers/image/v5/copy"
	dockerarchive "github.com/containers/image/v5/docker/archive"
	"github.com/containers/image/v5/docker/reference"
	"github.com/containers/image/v5/signature"
	"github.com/containers/image/v5/transports/alltransports"
	"github.com/containers/image/v5/types"
	"github.com/containers/storage/pkg/reexec"
)

func main() {
	// Layers are unpacked by a copy of this process in a root directory of its own.
	if reexec.Init() {
		return
	}
	const args = 3
	if len(os.Args) != args {
		fmt.Fprintln(os.Stderr, "usage: crio-import ROOT RUNROOT <ARCHIVE")
		os.Exit(2)
	}
	if err := run(context.Background(), "overlay@"+os.Args[1]+"+"+os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "crio-import: %v\n", err)
		os.Exit(1)
	}
}

// run imports every image of the archive into a storage.
func run(ctx context.Context, storage string) (err error) {
	file, err := saved(os.Stdin)
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	defer os.Remove(file)
	archive, err := dockerarchive.NewReader(nil, file)
	if err != nil {
		return fmt.Errorf("opening the archive: %w", err)
	}
	defer archive.Close()
	images, err := archive.List()
	if err != nil {
		return fmt.Errorf("listing the images of the archive: %w", err)
	}
	policy, err := signature.NewPolicyContext(&signature.Policy{
		Default: signature.PolicyRequirements{signature.NewPRInsecureAcceptAnything()},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, policy.Destroy()) }()
	for _, names := range images {
		for _, image := range names {
			if err := importImage(ctx, policy, storage, image); err != nil {
				return fmt.Errorf("importing %s: %w", image.StringWithinTransport(), err)
			}
		}
	}
	return nil
}

// saved copies the archive to a temporary file, because it is read more than once.
func saved(archive io.Reader) (path string, err error) {
	file, err := os.CreateTemp("", "crio-import-")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, archive)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

func importImage(ctx context.Context, policy *signature.PolicyContext, storage string,
	image types.ImageReference) error {
	name := image.DockerReference()
	if name == nil {
		return errors.New("no name")
	}
	target, err := alltransports.ParseImageName("containers-storage:[" + storage + "]" +
		reference.TagNameOnly(name).String())
	if err != nil {
		return err
	}
	_, err = imagecopy.Image(ctx, policy, target, image, nil)
	return err
}
