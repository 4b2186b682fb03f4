package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

// A record that does not read is set aside, and told of: it keeps neither an ADD nor a DEL from their work.
func TestFaultDiskDamagesARecord(t *testing.T) {
	t.Parallel()
	p := newTenant(t).podWith(t, nil)
	p.bridges(t, "blue")
	p.add(t)
	whole := p.readRecord(t)
	p.del(t)
	for _, d := range damages() {
		row := fault{name: d.name}
		p.tryDamage(t, &row, d, whole, true)
		row.report(t)
	}
	row := fault{name: "a record that is truncated, at any length"}
	for _, d := range truncations(whole) {
		p.tryDamage(t, &row, d, whole, false)
	}
	row.report(t)
}

func (p *pod) readRecord(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(p.recordPath())
	succeed(t, err)
	return data
}

// tryDamage has an ADD find the damage that is whole's, and then a DEL, or a hot ADD before it, that of the ADD's record.
func (p *pod) tryDamage(t *testing.T, row *fault, d damage, whole []byte, hot bool) {
	t.Helper()
	succeed(t, d.do(p.recordPath(), whole))
	start := time.Now()
	_, err := p.libcniAdd(t, p.conf, p.runtime())
	lost := append(unlike(err, 0), p.asideAmiss(t)...)
	row.count(t, "ADD "+d.name, time.Since(start), append(lost, p.amiss(t, "eth0")...)...)

	whole = p.readRecord(t)
	succeed(t, os.Remove(p.recordPath()))
	succeed(t, d.do(p.recordPath(), whole))
	start, lost = time.Now(), nil
	if hot {
		_, err := p.libcniAdd(t, p.agentConf(), p.agent("blue", ""))
		lost = append(lost, unlike(err, 0)...)
		lost = append(lost, p.amissOnNode(t, "eth0", blueDevice)...)
	}
	lost = append(lost, unlike(p.libcniDel(t, p.conf, p.runtime()), 0)...)
	lost = append(lost, p.asideAmiss(t)...)
	row.count(t, "DEL "+d.name, time.Since(start), append(lost, p.amiss(t)...)...)
}

// asideAmiss: a record was set aside, and the log tells of it. Both are taken away.
func (p *pod) asideAmiss(t *testing.T) []string {
	t.Helper()
	aside, err := filepath.Glob(p.recordPath() + ".*.corrupt")
	succeed(t, err)
	log, err := os.ReadFile(p.conf.LogFile)
	succeed(t, err)
	var wrong []string
	if len(aside) != 1 {
		wrong = append(wrong, fmt.Sprintf("set aside: %q; want one record", aside))
	}
	if !strings.Contains(string(log), "a record was set aside") {
		wrong = append(wrong, "the log does not tell of the record")
	}
	for _, path := range append(aside, p.conf.LogFile) {
		succeed(t, os.RemoveAll(path))
	}
	return wrong
}
