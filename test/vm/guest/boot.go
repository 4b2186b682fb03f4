package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// boot mounts file systems and loads modules, as the init of a distribution does.
func boot() error {
	for _, fs := range []struct{ kind, at string }{{"proc", "/proc"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}} {
		if err := mount(fs.kind, fs.at); err != nil {
			return err
		}
	}
	if err := linkPrograms(); err != nil {
		return err
	}
	return loadModules()
}

// linkPrograms makes the links that an installation of kactus and busybox has.
func linkPrograms() error {
	return errors.Join(
		os.Symlink("kactus", filepath.Join(pluginDir, "null")),
		os.Symlink("busybox", "/bin/sh"),
		os.Symlink("busybox", "/bin/ip"),
	)
}

func mount(kind, at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(kind, at, kind, 0, ""); err != nil {
		return fmt.Errorf("mounting a %s at %s: %w", kind, at, err)
	}
	return nil
}

// loadModules loads the modules in /modules, in the order of their names.
func loadModules() error {
	files, err := filepath.Glob("/modules/*") // sorted
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := loadModule(name); err != nil {
			return fmt.Errorf("loading the module %s: %w", name, err)
		}
	}
	return nil
}

func loadModule(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	err = unix.FinitModule(int(file.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
