package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine describes the machine that the benchmark ran on.
type machine struct {
	Cores    int    `json:"cores"`
	CPU      string `json:"cpu"`
	Kernel   string `json:"kernel"`
	Go       string `json:"go"`
	Load     string `json:"loadAtBegin"`
	FileType string `json:"ledgerFileSystem"`
}

func thisMachine(ledger string) machine {
	m := machine{Cores: runtime.NumCPU(), CPU: "unknown processor", Go: runtime.Version(), Kernel: "unknown",
		Load: "unknown", FileType: "unknown file system"}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
			}
		}
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(load))[:3], " ")
	}
	var st unix.Statfs_t
	if err := unix.Statfs(ledger, &st); err == nil {
		m.FileType = fileSystem(int64(st.Type))
	}
	return m
}

func fileSystem(magic int64) string {
	names := map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs",
		unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs"}
	if name, ok := names[magic]; ok {
		return name
	}
	return fmt.Sprintf("a file system of type %#x", magic)
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores of %s, Linux %s, %s, the ledger on %s; load at the start: %s", m.Cores, m.CPU,
		m.Kernel, m.Go, m.FileType, m.Load)
}
