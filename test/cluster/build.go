package cluster

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
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
	modules, err := b.modules(goTool, parts, binaries)
	if err != nil {
		return nil, err
	}
	for _, m := range modules {
		if err := m.ensure(ctx); err != nil {
			return nil, fmt.Errorf("building %s: %w", names(m.parts), err)
		}
	}
	return binaries, nil
}

// modules returns the modules of the parts, in the order of the parts, and enters the path of each
// part's binary.
func (b Builder) modules(goTool goTool, parts []Part, binaries Binaries) ([]*moduleBuild, error) {
	var modules []*moduleBuild
	for _, part := range parts {
		recipe, err := recipeOf(part)
		if err != nil {
			return nil, fmt.Errorf("preparing the build of %s: %w", part, err)
		}
		at := slices.IndexFunc(modules, func(m *moduleBuild) bool { return m.name == recipe.module })
		if at < 0 {
			m, err := b.prepareModule(goTool, recipe.module)
			if err != nil {
				return nil, fmt.Errorf("preparing the build of %s: %w", part, err)
			}
			at, modules = len(modules), append(modules, m)
		}
		build, err := modules[at].add(part, recipe)
		if err != nil {
			return nil, fmt.Errorf("preparing the build of %s: %w", part, err)
		}
		binaries[part] = build.target
	}
	return modules, nil
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
