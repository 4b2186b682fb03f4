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

// partBuild builds one part.
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
	args := pb.command("NAME")
	key := sha256.Sum256(bytes.Join([][]byte{goMod, goSum, []byte(goTool.version), []byte(args), source}, []byte{0}))
	pb.target = filepath.Join(b.Cache, hex.EncodeToString(key[:8]), string(part))
	return pb, nil
}

// command returns the command that builds the part, for the key in the cache.
func (pb *partBuild) command(output string) string {
	args := pb.buildArgs(output)
	if pb.recipe.cDir != "" {
		args = compilerArgs(output, pb.recipe.cDir)
	}
	return strings.Join(args, " ")
}

// buildArgs returns the go command's arguments to build the part into the file output. They
// suppress the version control stamp: the part's source is not in this repository.
func (pb *partBuild) buildArgs(output string) []string {
	args := []string{"build", "-v", "-trimpath", "-buildvcs=false"}
	if pb.recipe.tags != "" {
		args = append(args, "-tags", pb.recipe.tags)
	}
	return append(args, "-ldflags", pb.recipe.ldflags(pb.version), "-o", output, pb.recipe.pkg)
}

// ensure builds the binary unless it exists.
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
	// Another process may have built the binary while this one waited.
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

// lock waits until no other process builds the same binary. The kernel releases the lock of a
// process that dies.
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
			fmt.Fprintf(pb.progress, "waiting for another process that compiles %s %s\n", pb.part, pb.number())
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("waiting for the lock %s: %w", file.Name(), ctx.Err())
		case <-poll.C:
		}
	}
}

// compile builds the binary in a temporary directory and renames it, so that nobody ever finds half
// of one.
func (pb *partBuild) compile(ctx context.Context) error {
	scratch, err := os.MkdirTemp(filepath.Dir(pb.target), ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	started := time.Now()
	fmt.Fprintf(pb.progress, "compiling %s %s; the first time takes about %s\n", pb.part, pb.number(),
		inWords(pb.recipe.cold))

	output := filepath.Join(scratch, string(pb.part))
	build := pb.compileGo
	if pb.recipe.cDir != "" {
		build = pb.compileC
	}
	if err := build(ctx, output); err != nil {
		return err
	}
	if err := os.Rename(output, pb.target); err != nil {
		return err
	}
	fmt.Fprintf(pb.progress, "compiled %s %s in %s\n", pb.part, pb.number(), time.Since(started).Round(time.Second))
	return nil
}

func (pb *partBuild) compileGo(ctx context.Context, output string) error {
	total, err := pb.countPackages(ctx)
	if err != nil {
		return err
	}
	_, err = pb.run(ctx, total, pb.buildArgs(output)...)
	return err
}

func (pb *partBuild) countPackages(ctx context.Context) (int, error) {
	out, err := pb.run(ctx, 0, "list", "-deps", "-tags", pb.recipe.tags, pb.recipe.pkg)
	return bytes.Count(out, []byte{'\n'}), err
}

// run runs the go command in the nested module and returns its standard output. When ctx ends, the
// go command is interrupted rather than killed, so that it can stop its compilers.
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
