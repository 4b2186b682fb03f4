package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// A damage turns the record of a container into one that cannot be read.
type damage struct {
	name string
	do   func(path string, record []byte) error
}

func damages() []damage {
	content := func(name, text string) damage {
		return damage{name, func(path string, _ []byte) error { return os.WriteFile(path, []byte(text), 0o600) }}
	}
	return []damage{
		content("a record that is empty", ""),
		content("a record that is not JSON", "\x00\xff\x00"),
		{"a record that is truncated", func(path string, record []byte) error {
			return os.WriteFile(path, record[:len(record)/2], 0o600)
		}},
		{"a record of a future format", func(path string, record []byte) error {
			return os.WriteFile(path, []byte(strings.Replace(string(record), `"format":1`, `"format":2`, 1)), 0o600)
		}},
		{"a record of another user", func(path string, record []byte) error {
			if err := os.WriteFile(path, record, 0o600); err != nil {
				return err
			}
			return os.Chown(path, 4242, -1)
		}},
		{"a record that is a symlink to a good one", func(path string, record []byte) error {
			target := filepath.Join(filepath.Dir(path), "..", "target")
			if err := os.WriteFile(target, record, 0o600); err != nil {
				return err
			}
			return os.Symlink(target, path)
		}},
		{"a record that is a directory", func(path string, _ []byte) error {
			return os.MkdirAll(filepath.Join(path, "child"), 0o700)
		}},
	}
}

// truncations returns a damage for each length of the record; in the short campaign for some.
func truncations(record []byte) []damage {
	step := 1
	if !*fullCampaign {
		step = len(record)/4 + 1
	}
	var all []damage
	for n := 0; n < len(record); n += step {
		all = append(all, damage{fmt.Sprintf("a record of %d bytes", n), func(path string, record []byte) error {
			return os.WriteFile(path, record[:min(n, len(record)-1)], 0o600)
		}})
	}
	return all
}

// Nobody knows what a container has whose record cannot be read: an ADD leaves it alone, and a DEL
// does what it can, quarantines the record and logs that.
func TestFault_DiskDamagesRecord(t *testing.T) {
	t.Parallel()
	p := kactustest.NewTenant(t).NewAnnotatedPod(t, nil)
	p.CreateBridgeNetworks(t, "blue")
	p.Add(t)
	record := p.ReadRecord(t)
	p.Del(t)
	for _, d := range damages() {
		row := fault{name: d.name}
		tryDamageOfNothing(t, p, &row, d, record)
		tryDamageOfLivePod(t, p, &row, d)
		row.report(t)
	}
	row := fault{name: "a record that is truncated, at any length"}
	for _, d := range truncations(record) {
		tryDamageOfNothing(t, p, &row, d, record)
	}
	row.report(t)
}

// tryDamageOfNothing tries a damaged record of a Pod that has nothing.
func tryDamageOfNothing(t *testing.T, p *kactustest.Pod, row *fault, d damage, record []byte) {
	t.Helper()
	kactustest.Must(t, d.do(p.RecordPath(), record))
	start := time.Now()
	lost := append(checkRefused(t, p), deviationsOnNode(t, p)...)
	lost = append(lost, checkTornDown(t, p)...)
	row.count(t, "ADD, and then DEL, of what was never there, with "+d.name, time.Since(start), lost...)
}

// tryDamageOfLivePod damages the record of a Pod that has its default network.
func tryDamageOfLivePod(t *testing.T, p *kactustest.Pod, row *fault, d damage) {
	t.Helper()
	p.Add(t)
	record := p.ReadRecord(t)
	kactustest.Must(t, os.Remove(p.RecordPath()))
	kactustest.Must(t, d.do(p.RecordPath(), record))
	start := time.Now()
	lost := checkRefused(t, p)
	_, err := p.AddWith(t, p.AgentConf(), p.Agent("blue", ""))
	lost = append(lost, checkError(err, types.ErrIOFailure, "record")...)
	lost = append(lost, deviationsOnNode(t, p, "eth0")...)
	lost = append(lost, checkTornDown(t, p)...)
	row.count(t, "ADD, hot ADD and then DEL of a live Pod, with "+d.name, time.Since(start), lost...)
}

// checkRefused runs an ADD, which must fail because of the record and leave it where it is.
func checkRefused(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	before, err := os.Lstat(p.RecordPath())
	kactustest.Must(t, err)
	_, err = p.AddWith(t, p.Conf, p.Runtime())
	wrong := checkError(err, types.ErrIOFailure, "record")
	if after, err := os.Lstat(p.RecordPath()); err != nil || !os.SameFile(before, after) {
		wrong = append(wrong, fmt.Sprintf("an ADD touched the record: %v, %v", after, err))
	}
	return wrong
}

// checkTornDown runs a DEL, which must succeed and leave nothing but the quarantined record.
func checkTornDown(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	wrong := checkError(p.DelWith(t, p.Conf, p.Runtime()), 0)
	return append(append(wrong, checkQuarantined(t, p)...), deviations(t, p)...)
}

// checkQuarantined returns what is wrong unless exactly one record was quarantined and the log has
// it. It removes both.
func checkQuarantined(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	quarantined, err := filepath.Glob(p.RecordPath() + ".*.corrupt")
	kactustest.Must(t, err)
	log, err := os.ReadFile(p.Conf.LogFile)
	kactustest.Must(t, err)
	var wrong []string
	if len(quarantined) != 1 {
		wrong = append(wrong, fmt.Sprintf("quarantined: %q; want one record", quarantined))
	}
	if !strings.Contains(string(log), "quarantin") {
		wrong = append(wrong, "the log does not have the quarantined record")
	}
	for _, path := range append(quarantined, p.Conf.LogFile) {
		kactustest.Must(t, os.RemoveAll(path))
	}
	return wrong
}
