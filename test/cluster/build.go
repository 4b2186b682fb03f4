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
	"strings"
	"syscall"
	"time"
)

// Binaries holds the path of each part's binary.
type Binaries map[Part]string

// Build builds the named parts, with progress written to progress, which may be
// nil. It is Builder's Build with the defaults for the rest.
func Build(ctx context.Context, progress io.Writer, parts ...Part) (Binaries, error) {
	return Builder{Progress: progress}.Build(ctx, parts...)
}

// A Builder makes binaries of the parts from source. Its zero value is ready to
// use from anywhere inside the source tree of the plugin.
type Builder struct {
	// Root is the folder of the plugin's main module; empty means the one at or
	// above the working directory.
	Root string
	// Cache is the folder that keeps the binaries; empty means CacheDir.
	Cache string
	// Progress, if not nil, is told what is being done and how far it is.
	Progress io.Writer
}

// Build returns the paths of the parts' binaries, once it has built those that the
// cache does not hold. A binary's place in the cache depends on everything that
// goes into it, so that one that is present is right and is used at once. Several
// processes may build at the same time: each binary is built by one of them, while
// the others wait for it.
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

// CacheDir returns the folder where tests keep what takes long to make or to fetch:
// $KACTUS_TEST_CACHE or, where that is unset, kactus-test in the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("KACTUS_TEST_CACHE"); dir != "" {
		return dir, nil
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a folder for the tests' cache (KACTUS_TEST_CACHE can name one): %w", err)
	}
	return filepath.Join(user, "kactus-test"), nil
}

// goTool is the go command, and what of it ends up in a binary.
type goTool struct {
	path    string
	version string // with the processor architecture
}

func findGo(ctx context.Context) (goTool, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return goTool{}, fmt.Errorf("finding the go command: %w", err)
	}
	cmd := exec.CommandContext(ctx, path, "env", "GOVERSION", "GOHOSTARCH")
	cmd.Env = goEnviron()
	out, err := cmd.Output()
	if err != nil {
		return goTool{}, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	return goTool{path: path, version: strings.Join(strings.Fields(string(out)), " ")}, nil
}

// goEnviron is the caller's environment without what it may hold for the plugin's
// own build: a nested module is not vendored, belongs to no workspace, and its
// binaries run on this machine.
func goEnviron() []string {
	return append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GO111MODULE=on", "GOOS=", "GOARCH=", "CGO_ENABLED=0")
}

// partBuild is the build of one part: where from, how, and where to.
type partBuild struct {
	part     Part
	recipe   recipe
	version  string
	goTool   goTool
	dir      string // the nested module's
	target   string
	progress io.Writer
}

func (b Builder) prepare(goTool goTool, part Part) (*partBuild, error) {
	recipe, err := recipeOf(part)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.Root, "test", "cluster", recipe.module)
	goMod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	goSum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	version, source, err := recipe.origin(dir, goMod)
	if err != nil {
		return nil, err
	}
	pb := &partBuild{part: part, recipe: recipe, version: version, goTool: goTool, dir: dir, progress: b.Progress}
	args := strings.Join(pb.buildArgs("NAME"), " ")
	key := sha256.Sum256(bytes.Join([][]byte{goMod, goSum, []byte(goTool.version), []byte(args), source}, []byte{0}))
	pb.target = filepath.Join(b.Cache, hex.EncodeToString(key[:8]), string(part))
	return pb, nil
}

// buildArgs are the arguments of the go command that write the part's binary to a
// file. No version control stamp: the binary is not of this repository.
func (pb *partBuild) buildArgs(output string) []string {
	return []string{"build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", pb.recipe.ldflags(pb.version), "-o", output, pb.recipe.pkg}
}

// ensure makes the binary unless it is there.
func (pb *partBuild) ensure(ctx context.Context) error {
	if present, err := pb.present(); present || err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(pb.target), 0o755); err != nil {
		return err
	}
	unlock, err := pb.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	// Whoever held the lock before may have built it.
	if present, err := pb.present(); present || err != nil {
		return err
	}
	return pb.compile(ctx)
}

func (pb *partBuild) present() (bool, error) {
	_, err := os.Stat(pb.target)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// lock waits until no other process builds the same binary. The kernel drops the
// lock of a process that dies.
func (pb *partBuild) lock(ctx context.Context) (unlock func(), err error) {
	file, err := os.OpenFile(pb.target+".lock", os.O_CREATE|os.O_RDWR, 0o644)
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
			fmt.Fprintf(pb.progress, "waiting for another process, which is compiling %s %s\n", pb.part, pb.number())
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("waiting for the lock %s: %w", file.Name(), ctx.Err())
		case <-poll.C:
		}
	}
}

// compile writes the binary to a folder of its own and renames it, so that no
// reader ever finds half of one.
func (pb *partBuild) compile(ctx context.Context) error {
	scratch, err := os.MkdirTemp(filepath.Dir(pb.target), ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	started := time.Now()
	fmt.Fprintf(pb.progress, "compiling %s %s, the first time takes about %s\n", pb.part, pb.number(), inWords(pb.recipe.cold))

	total, err := pb.countPackages(ctx)
	if err != nil {
		return err
	}
	output := filepath.Join(scratch, string(pb.part))
	if _, err := pb.run(ctx, total, pb.buildArgs(output)...); err != nil {
		return err
	}
	if err := os.Rename(output, pb.target); err != nil {
		return err
	}
	fmt.Fprintf(pb.progress, "compiled %s %s in %s\n", pb.part, pb.number(), time.Since(started).Round(time.Second))
	return nil
}

func (pb *partBuild) countPackages(ctx context.Context) (int, error) {
	out, err := pb.run(ctx, 0, "list", "-deps", pb.recipe.pkg)
	return bytes.Count(out, []byte{'\n'}), err
}

// run runs the go command in the nested module and returns its standard output.
// Interrupted, the go command ends its compilers, which a kill would leave behind.
func (pb *partBuild) run(ctx context.Context, total int, args ...string) ([]byte, error) {
	meter := startMeter(pb.progress, fmt.Sprintf("%s %s", pb.part, pb.number()), total)
	defer meter.stop()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, pb.goTool.path, args...)
	cmd.Dir, cmd.Env = pb.dir, goEnviron()
	cmd.Stdout, cmd.Stderr = &out, meter
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("go %s in %s: %w\n%s", args[0], pb.dir, err, meter.tail())
	}
	return out.Bytes(), nil
}

func (pb *partBuild) number() string { return strings.TrimPrefix(pb.version, "v") }

func inWords(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	}
	if d == time.Minute {
		return "a minute"
	}
	return fmt.Sprintf("%d minutes", int(d.Minutes()))
}
