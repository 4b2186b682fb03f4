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

// damage is what became of a record that was whole.
type damage struct {
	name string
	do   func(path string, whole []byte) error
}

func damages() []damage {
	content := func(name, text string) damage {
		return damage{name, func(path string, _ []byte) error { return os.WriteFile(path, []byte(text), 0o600) }}
	}
	return []damage{
		content("a record that is empty", ""),
		content("a record that is not JSON", "\x00\xff\x00"),
		{"a record that is truncated", func(path string, whole []byte) error { return os.WriteFile(path, whole[:len(whole)/2], 0o600) }},
		{"a record of a future format", func(path string, whole []byte) error {
			return os.WriteFile(path, []byte(strings.Replace(string(whole), `"format":1`, `"format":2`, 1)), 0o600)
		}},
		{"a record of another user", func(path string, whole []byte) error {
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				return err
			}
			return os.Chown(path, 4242, -1)
		}},
		{"a record that is a symlink to a good one", func(path string, whole []byte) error {
			target := filepath.Join(filepath.Dir(path), "..", "target")
			if err := os.WriteFile(target, whole, 0o600); err != nil {
				return err
			}
			return os.Symlink(target, path)
		}},
		{"a record that is a folder", func(path string, _ []byte) error { return os.MkdirAll(filepath.Join(path, "in-it"), 0o700) }},
	}
}

// truncations are of every length; the short campaign has some.
func truncations(whole []byte) []damage {
	step := 1
	if !*fullCampaign {
		step = len(whole)/4 + 1
	}
	var all []damage
	for n := 0; n < len(whole); n += step {
		all = append(all, damage{fmt.Sprintf("of %d bytes", n), func(path string, whole []byte) error {
			return os.WriteFile(path, whole[:min(n, len(whole)-1)], 0o600)
		}})
	}
	return all
}

// Of a container whose record does not read, nobody knows what it has: an ADD leaves it alone, and a DEL does what it can, sets the record aside and tells of it.
func TestFaultDiskDamagesARecord(t *testing.T) {
	t.Parallel()
	p := kactustest.NewTenant(t).NewAnnotatedPod(t, nil)
	p.CreateBridgeNetworks(t, "blue")
	p.Add(t)
	whole := p.ReadRecord(t)
	p.Del(t)
	for _, d := range damages() {
		row := fault{name: d.name}
		tryDamageOfNothing(t, p, &row, d, whole)
		tryDamageOfLivePod(t, p, &row, d)
		row.report(t)
	}
	row := fault{name: "a record that is truncated, at any length"}
	for _, d := range truncations(whole) {
		tryDamageOfNothing(t, p, &row, d, whole)
	}
	row.report(t)
}

// tryDamageOfNothing leaves what the damage made of a whole record, with nothing that it speaks of.
func tryDamageOfNothing(t *testing.T, p *kactustest.Pod, row *fault, d damage, whole []byte) {
	t.Helper()
	kactustest.Must(t, d.do(p.RecordPath(), whole))
	start := time.Now()
	lost := append(checkRefused(t, p), deviationsOnNode(t, p)...)
	lost = append(lost, checkTornDown(t, p)...)
	row.count(t, "ADD, and then DEL, of what was never there, with "+d.name, time.Since(start), lost...)
}

// tryDamageOfALivePod damages the record of a Pod that has its default network.
func tryDamageOfLivePod(t *testing.T, p *kactustest.Pod, row *fault, d damage) {
	t.Helper()
	p.Add(t)
	whole := p.ReadRecord(t)
	kactustest.Must(t, os.Remove(p.RecordPath()))
	kactustest.Must(t, d.do(p.RecordPath(), whole))
	start := time.Now()
	lost := checkRefused(t, p)
	_, err := p.AddWith(t, p.AgentConf(), p.Agent("blue", ""))
	lost = append(lost, checkError(err, types.ErrIOFailure, "does not read")...)
	lost = append(lost, deviationsOnNode(t, p, "eth0")...)
	lost = append(lost, checkTornDown(t, p)...)
	row.count(t, "ADD, hot ADD and then DEL of a live Pod, with "+d.name, time.Since(start), lost...)
}

// refusedAmiss: an ADD says that the record does not read, and leaves it where it is.
func checkRefused(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	before, err := os.Lstat(p.RecordPath())
	kactustest.Must(t, err)
	_, err = p.AddWith(t, p.Conf, p.Runtime())
	wrong := checkError(err, types.ErrIOFailure, "does not read")
	if after, err := os.Lstat(p.RecordPath()); err != nil || !os.SameFile(before, after) {
		wrong = append(wrong, fmt.Sprintf("an ADD touched the record: %v, %v", after, err))
	}
	return wrong
}

// undoneAmiss: a DEL succeeds, and nothing is left but what was set aside.
func checkTornDown(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	wrong := checkError(p.DelWith(t, p.Conf, p.Runtime()), 0)
	return append(append(wrong, checkQuarantined(t, p)...), deviations(t, p)...)
}

// asideAmiss: a record was set aside, and the log tells of it. Both are taken away.
func checkQuarantined(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	aside, err := filepath.Glob(p.RecordPath() + ".*.corrupt")
	kactustest.Must(t, err)
	log, err := os.ReadFile(p.Conf.LogFile)
	kactustest.Must(t, err)
	var wrong []string
	if len(aside) != 1 {
		wrong = append(wrong, fmt.Sprintf("set aside: %q; want one record", aside))
	}
	if !strings.Contains(string(log), "a record was set aside") {
		wrong = append(wrong, "the log does not tell of the record")
	}
	for _, path := range append(aside, p.Conf.LogFile) {
		kactustest.Must(t, os.RemoveAll(path))
	}
	return wrong
}
