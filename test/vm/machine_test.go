package vm_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/vm"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/vm/verdict"
)

func TestMachine_GuestPanics(t *testing.T) {
	machine := emptyMachine(t)
	ctx, cancel := context.WithTimeout(t.Context(), guestTimeout)
	defer cancel()
	err := machine.Run(ctx, func(line io.Reader) error {
		return verdict.Read(line, func(v verdict.Verdict) { t.Errorf("verdict: %v", v) })
	})
	if !errors.Is(err, verdict.ErrTruncated) {
		t.Fatalf("error %v; want %q", err, verdict.ErrTruncated)
	}
	if want := "Kernel panic"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %v; want the console, with %q", err, want)
	}
}

func TestMachine_GuestHangs(t *testing.T) {
	machine := emptyMachine(t)
	// Too short for the guest to start, which is the same as a guest that hangs.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := machine.Run(ctx, func(line io.Reader) error {
		_, err := io.Copy(io.Discard, line)
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v; want %q", err, context.DeadlineExceeded)
	}
}

// emptyMachine returns a machine without /init, so that the kernel panics.
func emptyMachine(t *testing.T) vm.Machine {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a virtual machine")
	}
	return vm.Machine{Kernel: fetchKernel(t), Dir: t.TempDir()}
}

// fetchKernel returns the kernel. Tests call it first, because it fails on a machine that lacks a
// program.
func fetchKernel(t *testing.T) vm.Kernel {
	t.Helper()
	if _, err := vm.FindQEMU(); err != nil {
		t.Fatal(err)
	}
	cache, err := cluster.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := vm.FetchKernel(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	return kernel
}
