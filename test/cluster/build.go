package cluster

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
)

// Binaries holds the path of each part's binary.
type Binaries map[Part]string

// Build builds the parts with a Builder that has default settings, and writes its progress to
// progress, which may be nil.
func Build(ctx context.Context, progress io.Writer, parts ...Part) (Binaries, error) {
	return Builder{Progress: progress}.Build(ctx, parts...)
}

// A Builder builds the parts' binaries from source. The zero value works anywhere inside the
// plugin's source tree.
type Builder struct {
	// Root is the directory of the plugin's main module. Empty means to search from the working
	// directory upward.
	Root string
	// Cache is the directory for the binaries. Empty means CacheDir.
	Cache string
	// Progress, if not nil, receives progress messages.
	Progress io.Writer
}

// Build builds the parts that are not in the cache and returns the paths of all their binaries. A
// binary's path in the cache depends on everything that goes into the binary, so one that exists is
// up to date. Several processes may call Build at the same time: one of them builds a binary while
// the others wait.
func (b Builder) Build(ctx context.Context, parts ...Part) (Binaries, error) {
	if b.Progress == nil {
		b.Progress = io.Discard
	}
	if err := b.setDefaults(); err != nil {
		return nil, err
	}
	goTool, err := findGo(ctx)
	if err != nil {
		return nil, err
	}
	binaries := make(Binaries, len(parts))
	for _, part := range parts {
		build, err := b.prepare(goTool, part)
		if err != nil {
			return nil, fmt.Errorf("preparing the build of %s: %w", part, err)
		}
		if err := build.ensure(ctx); err != nil {
			return nil, fmt.Errorf("building %s %s: %w", part, build.version, err)
		}
		binaries[part] = build.target
	}
	return binaries, nil
}

func (b *Builder) setDefaults() error {
	if b.Root == "" {
		root, err := FindRoot(".")
		if err != nil {
			return err
		}
		b.Root = root
	}
	if b.Cache == "" {
		dir, err := CacheDir()
		if err != nil {
			return err
		}
		b.Cache = dir
	}
	cache, err := filepath.Abs(b.Cache)
	if err != nil {
		return fmt.Errorf("finding the absolute path of %s: %w", b.Cache, err)
	}
	b.Cache = cache
	return nil
}
