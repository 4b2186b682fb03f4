package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A moduleBuild builds the parts of one nested module, with one go command, which compiles the
// packages that they share once and keeps all processors busy.
type moduleBuild struct {
	name     string
	goTool   goTool
	dir      string
	goMod    []byte
	goSum    []byte
	tags     string
	stamps   []string // VARIABLE=VERSION, of all parts of the module
	cache    string
	progress io.Writer
	parts    []*partBuild
}

// A partBuild is one part to build.
type partBuild struct {
	part    Part
	recipe  recipe
	version string
	target  string
}

func (b Builder) prepareModule(goTool goTool, name string) (*moduleBuild, error) {
	m := &moduleBuild{name: name, goTool: goTool, dir: filepath.Join(b.Root, "test", "cluster", name),
		cache: b.Cache, progress: b.Progress}
	var err error
	if m.goMod, err = os.ReadFile(filepath.Join(m.dir, "go.mod")); err != nil {
		return nil, err
	}
	if m.goSum, err = os.ReadFile(filepath.Join(m.dir, "go.sum")); err != nil {
		return nil, err
	}
	for _, part := range allParts() {
		recipe, err := recipeOf(part)
		if err != nil {
			return nil, err
		}
		if recipe.module != name || recipe.stamp == "" {
			continue
		}
		version, err := requiredVersion(m.goMod, recipe.release)
		if err != nil {
			return nil, err
		}
		if stamp := recipe.stamp + "=" + version; !slices.Contains(m.stamps, stamp) {
			m.stamps = append(m.stamps, stamp)
		}
	}
	return m, nil
}

// add adds a part. The path of its binary depends on all that goes into the binary.
func (m *moduleBuild) add(part Part, recipe recipe) (*partBuild, error) {
	version, source, err := recipe.origin(m.dir, m.goMod)
	if err != nil {
		return nil, err
	}
	m.tags = recipe.tags
	args := append(m.buildArgs("NAME"), recipe.pkg)
	if recipe.cDir != "" {
		args = compilerArgs("NAME", recipe.cDir)
	}
	key := sha256.Sum256(bytes.Join([][]byte{m.goMod, m.goSum, []byte(m.goTool.version),
		[]byte(strings.Join(args, " ")), source}, []byte{0}))
	pb := &partBuild{part: part, recipe: recipe, version: version,
		target: filepath.Join(m.cache, hex.EncodeToString(key[:8]), string(part))}
	m.parts = append(m.parts, pb)
	return pb, nil
}

// buildArgs returns the go command's arguments, but for the packages, to build into output. They
// suppress the version control stamp: the source is not in this repository. Without inlining, and
// without debugging information, which the linker would drop, compiling takes half the time; the
// standard library is compiled as it is for other programs, which so share it.
func (m *moduleBuild) buildArgs(output string) []string {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-gcflags=all=-l -dwarf=false", "-gcflags=std="}
	if m.tags != "" {
		args = append(args, "-tags", m.tags)
	}
	return append(args, "-ldflags", ldflags(m.stamps), "-o", output)
}

// missing returns the parts whose binaries do not exist.
func (m *moduleBuild) missing() ([]*partBuild, error) {
	var missing []*partBuild
	for _, pb := range m.parts {
		if _, err := os.Stat(pb.target); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, pb)
		} else if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// ensure builds the binaries that do not exist.
func (m *moduleBuild) ensure(ctx context.Context) error {
	if missing, err := m.missing(); len(missing) == 0 || err != nil {
		return err
	}
	if err := os.MkdirAll(m.cache, 0o755); err != nil {
		return err
	}
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	// Another process may have built them while this one waited.
	missing, err := m.missing()
	if len(missing) == 0 || err != nil {
		return err
	}
	return m.compile(ctx, missing)
}

// lock waits until no other process builds parts of the module. The kernel releases the lock of a
// process that dies.
func (m *moduleBuild) lock(ctx context.Context) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(m.cache, m.name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	for said := false; ; said = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			file.Close()
			return nil, fmt.Errorf("locking %s: %w", file.Name(), err)
		}
		if !said {
			fmt.Fprintf(m.progress, "waiting for another process that compiles %s\n", names(m.parts))
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("waiting for the lock %s: %w", file.Name(), ctx.Err())
		case <-poll.C:
		}
	}
}

// compile builds the binaries in a temporary directory and renames each, so that nobody ever finds
// half of one.
func (m *moduleBuild) compile(ctx context.Context, parts []*partBuild) error {
	scratch, err := os.MkdirTemp(m.cache, ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	started := time.Now()
	var packages []string
	for _, pb := range parts {
		if pb.recipe.cDir == "" {
			packages = append(packages, pb.recipe.pkg)
		} else if err := m.compileC(ctx, pb, filepath.Join(scratch, pb.recipe.output(pb.part))); err != nil {
			return err
		}
	}
	if len(packages) > 0 {
		if err := m.compileGo(ctx, names(parts), scratch, packages); err != nil {
			return err
		}
	}
	for _, pb := range parts {
		if err := os.MkdirAll(filepath.Dir(pb.target), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(scratch, pb.recipe.output(pb.part)), pb.target); err != nil {
			return err
		}
	}
	fmt.Fprintf(m.progress, "compiled %s in %s\n", names(parts), time.Since(started).Round(time.Second))
	return nil
}

// compileGo first finds out how many packages there are to compile, and says how long that takes.
func (m *moduleBuild) compileGo(ctx context.Context, names, output string, packages []string) error {
	fmt.Fprintf(m.progress, "compiling %s\n", names)
	args := append(m.buildArgs(output+"/"), packages...)
	count := newMeter(m.progress, 0)
	if err := m.run(ctx, count, slices.Insert(slices.Clone(args), 1, "-n")...); err != nil {
		return err
	}
	fmt.Fprintf(m.progress, "  %d packages and %d programs, which take %s if nothing else needs this machine's %s\n",
		count.compiles, count.links, estimate(count.compiles, count.links), processors())
	return m.run(ctx, newMeter(m.progress, count.compiles), slices.Insert(args, 1, "-v")...)
}

// run runs the go command in the nested module. When ctx ends, the go command is interrupted rather
// than killed, so that it can stop its compilers.
func (m *moduleBuild) run(ctx context.Context, meter *meter, args ...string) error {
	meter.start()
	defer meter.stop()
	cmd := m.command(ctx, args...)
	cmd.Stderr = meter
	if err := cmd.Run(); err != nil {
		return m.failed(ctx, args[0], err, meter.tail())
	}
	return nil
}

func (m *moduleBuild) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.goTool.path, args...)
	cmd.Dir, cmd.Env = m.dir, goEnviron()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func (m *moduleBuild) failed(ctx context.Context, command string, err error, output string) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("go %s in %s: %w\n%s", command, m.dir, err, output)
}

// names returns the parts with their versions, for messages.
func names(parts []*partBuild) string {
	var list []string
	for _, pb := range parts {
		list = append(list, string(pb.part)+" "+strings.TrimPrefix(pb.version, "v"))
	}
	return strings.Join(list, ", ")
}
