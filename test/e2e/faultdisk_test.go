package e2e

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
)

// diskVerb is a verb that writes to the ledger, on a Pod with the network green, and blue where the verb is hot.
type diskVerb struct {
	name, command string
	hot           bool
	// before and after are the devices that the Pod has when it was made ready, and when the verb has succeeded.
	before, after []string
}

var diskVerbs = []diskVerb{
	{name: "ADD", command: "ADD", after: []string{"eth0", greenDevice}},
	{name: "DEL", command: "DEL", before: []string{"eth0", greenDevice}},
	{name: "hot ADD", command: "ADD", hot: true, before: []string{"eth0", greenDevice}, after: []string{"eth0", greenDevice, blueDevice}},
	{name: "hot DEL", command: "DEL", hot: true, before: []string{"eth0", greenDevice, blueDevice}, after: []string{"eth0", greenDevice}},
}

var diskErrors = []syscall.Errno{unix.ENOSPC, unix.EIO, unix.EROFS}

func diskPod(t *testing.T) *pod {
	t.Helper()
	tn := newTenant(t)
	tn.conf.CNIDir = filepath.Join(tn.dir, "disk", "ledger")
	succeed(t, os.Mkdir(filepath.Dir(tn.conf.CNIDir), 0o700))
	tn.bridges(t, "green", "blue")
	return tn.pod(t, `[{"name":"green"}]`)
}

// ready makes the Pod what it is before the verb. Where that is nothing, no ledger was made yet, nor has a delegate run.
func (v diskVerb) ready(t *testing.T, p *pod) {
	t.Helper()
	if v.before == nil {
		succeed(t, os.RemoveAll(p.conf.CNIDir))
		succeed(t, os.RemoveAll(p.leaseDir()))
		return
	}
	p.add(t)
	if len(v.before) > 2 {
		p.hotAdd(t, "blue")
	}
}

func (v diskVerb) call(p *pod) (netconf, call) {
	if v.hot {
		return p.agentConf(), p.agent("blue", "")
	}
	return p.conf, p.runtime()
}

// run runs the verb with the disk well.
func (v diskVerb) run(t *testing.T, p *pod) error {
	t.Helper()
	conf, c := v.call(p)
	_, err := p.start(t, v.command, conf, c).wait(t)
	return err
}

// runRefusing runs the verb with system calls refused.
func (v diskVerb) runRefusing(t *testing.T, p *pod, decide func(call string) syscall.Errno) error {
	t.Helper()
	conf, c := v.call(p)
	cmd := kactusCommand(encode(t, conf), p.environ(v.command, c)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	refuse(t, cmd, filepath.Dir(p.conf.CNIDir), decide)
	var e types.Error
	if json.Unmarshal(out.Bytes(), &e) == nil && e.Code != 0 {
		return &e
	}
	return nil
}

func TestFaultDiskAtEachStep(t *testing.T) {
	t.Parallel()
	for _, v := range diskVerbs {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			p := diskPod(t)
			v.ready(t, p)
			var steps []string
			succeed(t, v.runRefusing(t, p, func(call string) syscall.Errno {
				steps = append(steps, strings.ReplaceAll(call, p.id, "CONTAINER"))
				return 0
			}))
			t.Logf("%s makes these system calls on the ledger: %q", v.name, steps)
			p.del(t)
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
func (v diskVerb) tryStep(t *testing.T, row *fault, p *pod, n int, errno syscall.Errno) {
	t.Helper()
	v.ready(t, p)
	at, seen, untouched := "no system call", 0, false
	start := time.Now()
	err := v.runRefusing(t, p, func(call string) syscall.Errno {
		seen++
		if seen != n+1 {
			return 0
		}
		at = call
		untouched = len(fileNames(t, p.leaseDir())) == 0
		return errno
	})
	lost := v.lostIn(t, p, err)
	if err != nil && untouched {
		if ran := fileNames(t, p.leaseDir()); len(ran) > 0 {
			lost = append(lost, fmt.Sprintf("delegates of %q ran after it", ran))
		}
	}
	lost = append(lost, v.recover(t, p)...)
	row.count(t, fmt.Sprintf("%s at %s", unix.ErrnoName(errno), at), time.Since(start), lost...)
}

// lostIn: an ADD on a disk that is ill has made all, or fails and has undone all; a DEL has undone all, and fails where the ledger could not be told.
func (v diskVerb) lostIn(t *testing.T, p *pod, err error) []string {
	t.Helper()
	devices := v.after
	if err != nil && v.command == "ADD" {
		devices = v.before
	}
	lost := p.amissOnNode(t, devices...)
	if err != nil {
		return append(lost, unlike(err, types.ErrIOFailure)...)
	}
	for _, wrong := range p.amissInLedger(t, devices...) {
		if !strings.HasSuffix(wrong, ".lock") && !strings.HasSuffix(wrong, ".tmp") { // the Pod's DEL removes those
			lost = append(lost, wrong)
		}
	}
	return lost
}

// recover is the runtime's next move when the disk is well again: the same once more for a hot verb, and a DEL of the Pod.
func (v diskVerb) recover(t *testing.T, p *pod) []string {
	t.Helper()
	var lost []string
	if v.hot {
		lost = append(unlike(v.run(t, p), 0), p.amiss(t, v.after...)...)
	}
	lost = append(lost, unlike(p.libcniDel(t, p.conf, p.runtime()), 0)...)
	return append(lost, p.amiss(t)...)
}

// disk is a real file system under the ledger.
func (p *pod) disk(t *testing.T, options string) string {
	t.Helper()
	path := filepath.Dir(p.conf.CNIDir)
	succeed(t, unix.Mount("tmpfs", path, "tmpfs", 0, options))
	t.Cleanup(func() { succeed(t, unix.Unmount(path, unix.MNT_DETACH)) })
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
		{name: "a file system that is full", options: "size=64k", spoil: fill, mend: drain},
		{name: "a file system without a free inode", options: "nr_inodes=12", spoil: crowd, mend: drain},
		{name: "a file system that is read-only", spoil: remount(unix.MS_RDONLY), mend: remount(0), readOnly: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			row := fault{name: c.name + " under the ledger, for each verb"}
			for _, v := range diskVerbs {
				p := diskPod(t)
				path := p.disk(t, c.options)
				succeed(t, os.Mkdir(p.conf.CNIDir, 0o700))
				if v.before != nil {
					v.ready(t, p)
				}
				c.spoil(t, path)
				start := time.Now()
				err := v.run(t, p)
				lost := v.lostIn(t, p, err)
				if (v.command == "ADD" || c.readOnly) && err == nil {
					lost = append(lost, "it says nothing of the disk")
				}
				if v.name == "ADD" {
					lost = append(lost, p.touched(t)...)
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
	succeed(t, err)
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, os.Getpagesize()))
	}
}

// crowd makes files until none can be made.
func crowd(t *testing.T, path string) {
	t.Helper()
	succeed(t, os.Mkdir(filepath.Join(path, "filler"), 0o700))
	for n := 0; os.WriteFile(filepath.Join(path, "filler", fmt.Sprint(n)), nil, 0o600) == nil; n++ {
	}
}

func drain(t *testing.T, path string) {
	t.Helper()
	succeed(t, os.RemoveAll(filepath.Join(path, "filler")))
}

func remount(flags uintptr) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		succeed(t, unix.Mount("", path, "", unix.MS_REMOUNT|flags, ""))
	}
}
