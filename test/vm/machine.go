// Package vm boots Debian's kernel in a virtual machine, to test on what the machine's own kernel may lack: 802.1Q, for one. The guest has no disk: its
// initial file system holds all that it runs. QEMU runs as a user's program, translates every instruction, and so needs no privilege and no help of the processor.
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

// HostIP is where the guest reaches what listens on the host's loopback, through each of its network devices. The host reaches nothing in the guest.
const HostIP = "10.0.2.2"

// Machine is a virtual machine with two processors.
type Machine struct {
	Kernel Kernel
	// Modules are the names of the kernel's modules that the guest is to load. They are in its folder /modules, with all that they depend on, and
	// the order of the files' names is the one in which to load them.
	Modules []string
	// Files are what the guest has beside them. It begins with the file /init, whose end is the kernel's panic: it must power the machine off.
	Files []File
	// NetworkDevices is how many the guest has; it needs the module virtio_net for them.
	NetworkDevices int
	// Dir is a folder for the machine's own files. The guest's console is written to the file "console" there.
	Dir string
}

// FindQEMU returns the path of what runs the machine, or an error that says how to come by it.
func FindQEMU() (string, error) {
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return "", fmt.Errorf("qemu-system-x86_64 is needed, as in Debian's package qemu-system-x86: %w", err)
	}
	return qemu, nil
}

// Run boots the machine and returns when it is off; the end of ctx ends it, too. What the guest writes to its second serial line, /dev/ttyS1, is what read
// reads. The guest's console, on its first one, is told in an error.
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
		err = fmt.Errorf("the guest does not end: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("running the virtual machine: %w; its console ends with:\n%s", err, m.consoleTail())
	}
	return nil
}

// start holds on to its thread: when that ends, which Go's threads do as they like, the kernel ends QEMU, and so it does when this process is killed.
func start(qemu *exec.Cmd, read func(io.Reader) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var complaints strings.Builder
	qemu.Stderr = &complaints
	line, err := qemu.StdoutPipe()
	if err != nil {
		return err
	}
	if err := qemu.Start(); err != nil {
		return err
	}
	err = read(line)
	if err != nil {
		_ = qemu.Process.Kill() // it may have ended
	}
	if ended := qemu.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("%w\n%s", ended, complaints.String())
	}
	return err
}

func (m Machine) arguments(initramfs string) []string {
	args := []string{
		"-no-user-config", "-nodefaults", "-display", "none",
		"-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "512",
		"-no-reboot", // so that a panic, after which the kernel reboots at once, is the end
		"-kernel", m.Kernel.image, "-initrd", initramfs,
		"-append", "console=ttyS0 panic=-1 oops=panic loglevel=5",
		"-serial", "file:" + m.console(), "-serial", "stdio",
	}
	for i := range m.NetworkDevices {
		// No ROM: it would only look for something to boot from the network.
		args = append(args, "-netdev", fmt.Sprintf("user,id=net%d,ipv6=off", i), "-device", fmt.Sprintf("virtio-net-pci,netdev=net%d,romfile=", i))
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
		files = append(files, File{Path: fmt.Sprintf("/modules/%02d-%s", i, filepath.Base(module)), Mode: 0o644, Content: content})
	}
	name := filepath.Join(m.Dir, "initramfs")
	return name, writeInitramfs(name, files)
}

func (m Machine) console() string { return filepath.Join(m.Dir, "console") }

// consoleTail returns the last lines of the console, or why they cannot be read: it is for the text of errors.
func (m Machine) consoleTail() string {
	const most = 120 // the kernel's own words on a panic are half of that
	text, err := os.ReadFile(m.console())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(text), "\r", "")), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
