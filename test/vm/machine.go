// Package vm boots Debian's kernel in a virtual machine, to test features that the machine's own
// kernel may lack, such as 802.1Q. The guest has no disk: all its files are in the initial file
// system. QEMU emulates the processor, and so requires neither privileges nor KVM.
package vm

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// HostIP is the address at which the guest reaches the host's loopback, through each of its network
// interfaces. The host cannot reach the guest.
const HostIP = "10.0.2.2"

// A Machine describes a virtual machine with two processors.
type Machine struct {
	Kernel Kernel
	// Modules are the names of the kernel modules for the guest to load. The modules and their
	// dependencies are in the guest's directory /modules. The guest must load them in the order of
	// the file names.
	Modules []string
	// Files are the guest's other files. The guest runs /init, which must power the machine off:
	// the kernel panics if it ends.
	Files []File
	// NetworkInterfaces is the number of the guest's network interfaces, which require the module
	// virtio_net.
	NetworkInterfaces int
	// Dir is the directory for the machine's files. The file "console" in it has the output of the
	// guest's console.
	Dir string
}

// FindQEMU returns the path of the QEMU program that Run requires. The error names the Debian
// package to install.
func FindQEMU() (string, error) {
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return "", fmt.Errorf("finding qemu-system-x86_64 (Debian package qemu-system-x86): %w", err)
	}
	return qemu, nil
}

// Run boots the machine and returns when it is off, or when ctx ends. It calls read with the output
// that the guest writes to its second serial line, /dev/ttyS1. An error quotes the guest's console,
// which is on the first serial line.
func (m Machine) Run(ctx context.Context, read func(io.Reader) error) error {
	qemu, err := FindQEMU()
	if err != nil {
		return err
	}
	initramfs, err := m.writeInitramfs()
	if err != nil {
		return fmt.Errorf("making the guest's file system: %w", err)
	}
	err = start(exec.CommandContext(ctx, qemu, m.arguments(initramfs)...), read)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("waiting for the guest to end: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("running the virtual machine: %w; the console ends with:\n%s", err, m.consoleTail())
	}
	return nil
}

// start starts QEMU, calls read, and waits. The kernel kills QEMU when the thread that started it
// ends, and thus also when this process is killed, so start keeps its thread.
func start(qemu *exec.Cmd, read func(io.Reader) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr strings.Builder
	qemu.Stderr = &stderr
	line, err := qemu.StdoutPipe()
	if err != nil {
		return err
	}
	if err := qemu.Start(); err != nil {
		return err
	}
	err = read(line)
	if err != nil {
		_ = qemu.Process.Kill() // QEMU may have ended
	}
	if ended := qemu.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("%w\n%s", ended, stderr.String())
	}
	return err
}

func (m Machine) arguments(initramfs string) []string {
	args := []string{
		"-no-user-config", "-nodefaults", "-display", "none",
		"-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "512",
		"-no-reboot", // end after a panic, when the kernel reboots at once
		"-kernel", m.Kernel.image, "-initrd", initramfs,
		"-append", "console=ttyS0 panic=-1 oops=panic loglevel=5",
		"-serial", "file:" + m.console(), "-serial", "stdio",
	}
	for i := range m.NetworkInterfaces {
		// No boot ROM: it would only try to boot from the network.
		args = append(args, "-netdev", fmt.Sprintf("user,id=net%d,ipv6=off", i), "-device",
			fmt.Sprintf("virtio-net-pci,netdev=net%d,romfile=", i))
	}
	return args
}

func (m Machine) writeInitramfs() (string, error) {
	modules, err := m.Kernel.inOrder(m.Modules...)
	if err != nil {
		return "", err
	}
	files := slices.Clone(m.Files)
	for i, module := range modules {
		content, err := os.ReadFile(module)
		if err != nil {
			return "", err
		}
		files = append(files, File{Path: fmt.Sprintf("/modules/%02d-%s", i, filepath.Base(module)),
			Mode: 0o644, Content: content})
	}
	name := filepath.Join(m.Dir, "initramfs")
	return name, writeInitramfs(name, files)
}

func (m Machine) console() string { return filepath.Join(m.Dir, "console") }

// consoleTail returns the last lines of the console, or the error of reading them. The result is
// for the text of errors.
func (m Machine) consoleTail() string {
	const most = 120 // twice what the kernel prints for a panic
	text, err := os.ReadFile(m.console())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(text), "\r", "")), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
