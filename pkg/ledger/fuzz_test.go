package ledger

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// FuzzRecord: whatever is in a file of the ledger, reading it ends in an error or in a record that a verb can use and write again.
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `{"format":1}`, `{"format":"1"}`, `{"format":1e999}`,
		`{"format":1,"containerID":"c1","attachments":null}`,
		`{"format":1,"containerID":"c1","attachments":[null]}`,
		`{"format":1,"containerID":"c1","attachments":[{"device":"eth0","config":{"plugins":[null]}}]}`,
		`{"format":1,"containerID":"c1","attachments":[{"device":"eth0","config":{"plugins":[{"type":"bridge","capabilities":{"mac":true}}]},"result":{}}],"orphans":[{}]}`,
	} {
		f.Add([]byte(seed))
	}
	e, err := newEntry("eth0")
	if err != nil {
		f.Fatal(err)
	}
	written, err := json.Marshal(Record{Format: Format, ContainerID: "c1", Attachments: []Entry{e}, Orphans: []Entry{e}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(written)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data, "c1")
		if err != nil {
			return
		}
		for _, e := range append(r.Attachments, r.Orphans...) {
			for _, p := range e.Config.Plugins {
				if err := cniconf.ValidateType(p.Type); err != nil {
					t.Errorf("a plugin of the type %q: %v", p.Type, err)
				}
				if _, err := p.Stdin(map[string]json.RawMessage{"name": json.RawMessage(`"n"`)}); err != nil {
					t.Error(err)
				}
			}
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("it does not encode: %v", err)
		}
		if r2, err := decode(again, "c1"); err != nil || len(r2.Attachments) != len(r.Attachments) || len(r2.Orphans) != len(r.Orphans) {
			t.Errorf("what was written does not read: %v", err)
		}
	})
}

// A verb that finds such a file must go on, whatever is in it.
func FuzzLock(f *testing.F) {
	f.Add([]byte(`{"format":1,"containerID":"c1","attachments":[]}`))
	f.Add([]byte(`{`))
	l, err := Open(filepath.Join(f.TempDir(), "kactus"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(l.dir, "c1.json")
		must(t, os.WriteFile(path, data, 0o600))
		b := lock(t, l, "c1")
		defer b.Close()
		if b.Unread() != nil {
			if _, err := b.SetAside(); err != nil || exists(path) {
				t.Errorf("set aside: %v, but there: %v", err, exists(path))
			}
		}
		aside, _ := filepath.Glob(path + ".*")
		for _, path := range aside {
			must(t, os.Remove(path))
		}
	})
}
