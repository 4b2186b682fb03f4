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

func TestGuestThatPanics(t *testing.T) {
	machine := emptyMachine(t)
	ctx, cancel := context.WithTimeout(t.Context(), guestLife)
	defer cancel()
	err := machine.Run(ctx, func(line io.Reader) error {
		return verdict.Read(line, func(v verdict.Verdict) { t.Errorf("a verdict: %v", v) })
	})
	if !errors.Is(err, verdict.ErrCutShort) {
		t.Fatalf("error %v; want one that says %q", err, verdict.ErrCutShort)
	}
	if want := "Kernel panic"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %v; want the console in it, where the kernel says %q", err, want)
	}
}

func TestGuestThatHangs(t *testing.T) {
	machine := emptyMachine(t)
	// So short that it has not begun: a guest that is stuck is no different.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := machine.Run(ctx, func(line io.Reader) error {
		_, err := io.Copy(io.Discard, line)
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v; want one that says %q", err, context.DeadlineExceeded)
	}
}

// emptyMachine has no program for the kernel to start, which therefore panics.
func emptyMachine(t *testing.T) vm.Machine {
	t.Helper()
	if testing.Short() {
		t.Skip("it boots a virtual machine")
	}
	return vm.Machine{Kernel: fetchKernel(t), Dir: t.TempDir()}
}

// fetchKernel comes before all that takes long: it fails where a machine lacks what the tests need.
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
