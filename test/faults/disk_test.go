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
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
	"golang.org/x/sys/unix"
)

// diskVerb is a verb that writes to the ledger, on a Pod with the network green, and blue where the verb is hot.
type diskOperation struct {
	name, command string
	hot           bool
	// before and after are the devices that the Pod has when it was made ready, and when the verb has succeeded.
	before, after []string
}

var diskOperations = []diskOperation{
	{name: "ADD", command: "ADD", after: []string{"eth0", kactustest.GreenIfName}},
	{name: "DEL", command: "DEL", before: []string{"eth0", kactustest.GreenIfName}},
	{name: "hot ADD", command: "ADD", hot: true, before: []string{"eth0", kactustest.GreenIfName}, after: []string{"eth0", kactustest.GreenIfName, kactustest.BlueIfName}},
	{name: "hot DEL", command: "DEL", hot: true, before: []string{"eth0", kactustest.GreenIfName, kactustest.BlueIfName}, after: []string{"eth0", kactustest.GreenIfName}},
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

// ready makes the Pod what it is before the verb. Where that is nothing, no ledger was made yet, nor has a delegate run.
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

// run runs the verb with the disk well.
func (v diskOperation) run(t *testing.T, p *kactustest.Pod) error {
	t.Helper()
	conf, c := v.call(p)
	_, err := p.Start(t, v.command, conf, c).Wait(t)
	return err
}

// runRefusing runs the verb with system calls refused.
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

func TestFaultDiskAtEachStep(t *testing.T) {
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
				row := fault{name: fmt.Sprintf("%s at a write, rename, unlink, creation or fsync of the ledger: %s", unix.ErrnoName(errno), v.name)}
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

// tryStep refuses the system call of the number n.
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
			lost = append(lost, fmt.Sprintf("delegates of %q ran after it", ran))
		}
	}
	lost = append(lost, v.recover(t, p)...)
	row.count(t, fmt.Sprintf("%s at %s", unix.ErrnoName(errno), at), time.Since(start), lost...)
}

// lostIn: an ADD on a disk that is ill has made all, or fails and has undone all; a DEL has undone all, and fails where the ledger could not be told.
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
		if !strings.HasSuffix(wrong, ".lock") && !strings.HasSuffix(wrong, ".tmp") { // the Pod's DEL removes those
			lost = append(lost, wrong)
		}
	}
	return lost
}

// recover is the runtime's next move when the disk is well again: the same once more for a hot verb, and a DEL of the Pod.
func (v diskOperation) recover(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	var lost []string
	if v.hot {
		lost = append(checkError(v.run(t, p), 0), deviations(t, p, v.after...)...)
	}
	lost = append(lost, checkError(p.DelWith(t, p.Conf, p.Runtime()), 0)...)
	return append(lost, deviations(t, p)...)
}

// disk is a real file system under the ledger.
func mountDisk(t *testing.T, p *kactustest.Pod, options string) string {
	t.Helper()
	path := filepath.Dir(p.Conf.CNIDir)
	kactustest.Must(t, unix.Mount("tmpfs", path, "tmpfs", 0, options))
	t.Cleanup(func() { kactustest.Must(t, unix.Unmount(path, unix.MNT_DETACH)) })
	return path
}

func TestFaultDiskOfARealFileSystem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, options string
		spoil, mend   func(t *testing.T, path string)
		// readOnly: not even a record can be removed.
		readOnly bool
	}{
		{name: "a file system that is full", options: "size=64k", spoil: fill, mend: removeFiller},
		{name: "a file system without a free inode", options: "nr_inodes=12", spoil: useInodes, mend: removeFiller},
		{name: "a file system that is read-only", spoil: remount(unix.MS_RDONLY), mend: remount(0), readOnly: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			row := fault{name: c.name + " under the ledger, for each verb"}
			for _, v := range diskOperations {
				p := diskPod(t)
				path := mountDisk(t, p, c.options)
				kactustest.Must(t, os.Mkdir(p.Conf.CNIDir, 0o700))
				if v.before != nil {
					v.prepare(t, p)
				}
				c.spoil(t, path)
				start := time.Now()
				err := v.run(t, p)
				lost := v.checkOutcome(t, p, err)
				if (v.command == "ADD" || c.readOnly) && err == nil {
					lost = append(lost, "it says nothing of the disk")
				}
				if v.name == "ADD" {
					lost = append(lost, traces(t, p)...)
				}
				c.mend(t, path)
				lost = append(lost, v.recover(t, p)...)
				row.count(t, v.name, time.Since(start), lost...)
			}
			row.report(t)
		})
	}
}

// fill writes until nothing fits.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(filepath.Join(path, "filler"))
	kactustest.Must(t, err)
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, os.Getpagesize()))
	}
}

// crowd makes files until none can be made.
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
