package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// A diskOperation is an operation that writes to the ledger, on a Pod with the network green, and
// blue if it is hot.
type diskOperation struct {
	name, command string
	hot           bool
	// before and after are the interfaces of the Pod before the operation and after it succeeded.
	before, after []string
}

var diskOperations = []diskOperation{
	{name: "ADD", command: "ADD", after: []string{"eth0", kactustest.GreenIfName}},
	{name: "DEL", command: "DEL", before: []string{"eth0", kactustest.GreenIfName}},
	{name: "hot ADD", command: "ADD", hot: true, before: []string{"eth0", kactustest.GreenIfName},
		after: []string{"eth0", kactustest.GreenIfName, kactustest.BlueIfName}},
	{name: "hot DEL", command: "DEL", hot: true, before: []string{"eth0", kactustest.GreenIfName,
		kactustest.BlueIfName}, after: []string{"eth0", kactustest.GreenIfName}},
}

var diskErrors = []syscall.Errno{unix.ENOSPC, unix.EIO, unix.EROFS}

func diskPod(t *testing.T) *kactustest.Pod {
	t.Helper()
	tn := kactustest.NewTenant(t)
	tn.Conf.CNIDir = filepath.Join(tn.Dir, "disk", "ledger")
	kactustest.Must(t, os.Mkdir(filepath.Dir(tn.Conf.CNIDir), 0o700))
	tn.CreateBridgeNetworks(t, "green", "blue")
	return tn.NewPod(t, `[{"name":"green"}]`)
}

// prepare brings the Pod into the state before the operation. If that is nothing, there is no
// ledger and no delegate has run.
func (v diskOperation) prepare(t *testing.T, p *kactustest.Pod) {
	t.Helper()
	if v.before == nil {
		kactustest.Must(t, os.RemoveAll(p.Conf.CNIDir))
		kactustest.Must(t, os.RemoveAll(p.LeaseDir()))
		return
	}
	p.Add(t)
	if len(v.before) > 2 {
		p.HotAdd(t, "blue")
	}
}

func (v diskOperation) call(p *kactustest.Pod) (kactustest.NetConf, kactustest.Call) {
	if v.hot {
		return p.AgentConf(), p.Agent("blue", "")
	}
	return p.Conf, p.Runtime()
}

// run runs the operation on a disk that works.
func (v diskOperation) run(t *testing.T, p *kactustest.Pod) error {
	t.Helper()
	conf, c := v.call(p)
	_, err := p.Start(t, v.command, conf, c).Wait(t)
	return err
}

// runRefusing runs the operation with system calls refused.
func (v diskOperation) runRefusing(t *testing.T, p *kactustest.Pod, decide func(call string) syscall.Errno) error {
	t.Helper()
	conf, c := v.call(p)
	cmd := kactustest.Command(kactustest.Encode(t, conf), p.Environ(v.command, c)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	refuse(t, cmd, filepath.Dir(p.Conf.CNIDir), decide)
	var e types.Error
	if json.Unmarshal(out.Bytes(), &e) == nil && e.Code != 0 {
		return &e
	}
	return nil
}

func TestFault_DiskAtEachStep(t *testing.T) {
	t.Parallel()
	for _, v := range diskOperations {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			p := diskPod(t)
			v.prepare(t, p)
			var steps []string
			kactustest.Must(t, v.runRefusing(t, p, func(call string) syscall.Errno {
				steps = append(steps, strings.ReplaceAll(call, p.ID, "CONTAINER"))
				return 0
			}))
			t.Logf("%s makes these system calls on the ledger: %q", v.name, steps)
			p.Del(t)
			for i, errno := range diskErrors {
				row := fault{name: fmt.Sprintf("%s at a write, rename, unlink, creation or fsync of the ledger: %s",
					unix.ErrnoName(errno), v.name)}
				for n := range steps {
					if *fullCampaign || n%len(diskErrors) == i {
						v.tryStep(t, &row, p, n, errno)
					}
				}
				row.report(t)
			}
		})
	}
}

// tryStep refuses the system call number n.
func (v diskOperation) tryStep(t *testing.T, row *fault, p *kactustest.Pod, n int, errno syscall.Errno) {
	t.Helper()
	v.prepare(t, p)
	at, seen, untouched := "no system call", 0, false
	start := time.Now()
	err := v.runRefusing(t, p, func(call string) syscall.Errno {
		seen++
		if seen != n+1 {
			return 0
		}
		at = call
		untouched = len(kactustest.FileNames(t, p.LeaseDir())) == 0
		return errno
	})
	lost := v.checkOutcome(t, p, err)
	if err != nil && untouched {
		if ran := kactustest.FileNames(t, p.LeaseDir()); len(ran) > 0 {
			lost = append(lost, fmt.Sprintf("delegates of %q ran afterwards", ran))
		}
	}
	lost = append(lost, v.recover(t, p)...)
	row.count(t, fmt.Sprintf("%s at %s", unix.ErrnoName(errno), at), time.Since(start), lost...)
}

// checkOutcome returns what is wrong after the operation: on a failing disk, ADD has made
// everything or fails and has rolled back; DEL has torn down everything, and fails if the ledger
// could not be updated.
func (v diskOperation) checkOutcome(t *testing.T, p *kactustest.Pod, err error) []string {
	t.Helper()
	ifNames := v.after
	if err != nil && v.command == "ADD" {
		ifNames = v.before
	}
	lost := deviationsOnNode(t, p, ifNames...)
	if err != nil {
		return append(lost, checkError(err, types.ErrIOFailure)...)
	}
	for _, wrong := range deviationsInLedger(t, p, ifNames...) {
		if !strings.HasSuffix(wrong, ".tmp") { // removed by the Pod's DEL
			lost = append(lost, wrong)
		}
	}
	return lost
}

// recover does what the runtime does when the disk works again: repeat a hot operation, and DEL the
// Pod.
func (v diskOperation) recover(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	var lost []string
	if v.hot {
		lost = append(checkError(v.run(t, p), 0), deviations(t, p, v.after...)...)
	}
	lost = append(lost, checkError(p.DelWith(t, p.Conf, p.Runtime()), 0)...)
	return append(lost, deviations(t, p)...)
}

// mountDisk mounts a file system under the ledger and returns its path.
func mountDisk(t *testing.T, p *kactustest.Pod, options string) string {
	t.Helper()
	path := filepath.Dir(p.Conf.CNIDir)
	kactustest.Must(t, unix.Mount("tmpfs", path, "tmpfs", 0, options))
	t.Cleanup(func() { kactustest.Must(t, unix.Unmount(path, unix.MNT_DETACH)) })
	return path
}

func TestFault_DiskRealFileSystem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, options string
		fail, repair  func(t *testing.T, path string)
		// readOnly is set if not even a record can be removed.
		readOnly bool
	}{
		{name: "a file system that is full", options: "size=64k", fail: fill, repair: removeFiller},
		{name: "a file system without a free inode", options: "nr_inodes=12", fail: useInodes, repair: removeFiller},
		{name: "a file system that is read-only", fail: remount(unix.MS_RDONLY), repair: remount(0), readOnly: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			row := fault{name: c.name + " under the ledger, for each operation"}
			for _, v := range diskOperations {
				p := diskPod(t)
				path := mountDisk(t, p, c.options)
				kactustest.Must(t, os.Mkdir(p.Conf.CNIDir, 0o700))
				if v.before != nil {
					v.prepare(t, p)
				}
				c.fail(t, path)
				start := time.Now()
				err := v.run(t, p)
				lost := v.checkOutcome(t, p, err)
				if (v.command == "ADD" || c.readOnly) && err == nil {
					lost = append(lost, "no error although the disk fails")
				}
				if v.name == "ADD" {
					lost = append(lost, traces(t, p)...)
				}
				c.repair(t, path)
				lost = append(lost, v.recover(t, p)...)
				row.count(t, v.name, time.Since(start), lost...)
			}
			row.report(t)
		})
	}
}

// fill writes until nothing more fits.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(filepath.Join(path, "filler"))
	kactustest.Must(t, err)
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, os.Getpagesize()))
	}
}

// useInodes creates files until no more can be created.
func useInodes(t *testing.T, path string) {
	t.Helper()
	kactustest.Must(t, os.Mkdir(filepath.Join(path, "filler"), 0o700))
	for n := 0; os.WriteFile(filepath.Join(path, "filler", fmt.Sprint(n)), nil, 0o600) == nil; n++ {
	}
}

func removeFiller(t *testing.T, path string) {
	t.Helper()
	kactustest.Must(t, os.RemoveAll(filepath.Join(path, "filler")))
}

func remount(flags uintptr) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		kactustest.Must(t, unix.Mount("", path, "", unix.MS_REMOUNT|flags, ""))
	}
}
