package ledger

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// FuzzRecord checks that whatever is in a file of the ledger, reading it ends in an error or in a
// record that an operation can use and write again.
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `{"format":1}`, `{"format":"1"}`, `{"format":1e999}`,
		`{"format":1,"containerID":"c1","attachments":null}`,
		`{"format":1,"containerID":"c1","attachments":[null]}`,
		`{"format":1,"containerID":"c1","attachments":[{"device":"eth0","config":{"plugins":[null]}}]}`,
		`{"format":1,"containerID":"c1","attachments":[{"device":"eth0",
			"config":{"plugins":[{"type":"bridge","capabilities":{"mac":true}}]},"result":{}}],"orphans":[{}]}`,
	} {
		f.Add([]byte(seed))
	}
	all := attachments(f, "eth0")
	written, err := encode(Record{ContainerID: "c1", Attachments: all, Orphans: all})
	must(f, err)
	f.Add(written)
	golden, err := os.ReadFile("testdata/format-1.json")
	must(f, err)
	f.Add(bytes.ReplaceAll(golden, []byte(strings.Repeat("0123456789abcdef", 4)), []byte("c1")))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data, "c1")
		if err != nil {
			return
		}
		for _, a := range append(r.Attachments, r.Orphans...) {
			for _, p := range a.Config.Plugins {
				if err := cniconf.ValidateType(p.Type); err != nil {
					t.Errorf("a plugin of the type %q: %v", p.Type, err)
				}
				if _, err := p.Stdin(map[string]json.RawMessage{"name": json.RawMessage(`"n"`)}); err != nil {
					t.Error(err)
				}
			}
		}
		again, err := encode(r)
		if err != nil {
			t.Fatalf("cannot be encoded: %v", err)
		}
		r2, err := decode(again, "c1")
		if err != nil || len(r2.Attachments) != len(r.Attachments) || len(r2.Orphans) != len(r.Orphans) {
			t.Fatalf("cannot be read again: %v", err)
		}
		for i, a := range r.Attachments {
			if !a.Same(r2.Attachments[i].Requests) {
				t.Errorf("%+v was requested, and %+v is read again", a.Requests, r2.Attachments[i].Requests)
			}
		}
	})
}

// FuzzLock checks that an operation that finds such a file can go on, whatever is in it.
func FuzzLock(f *testing.F) {
	f.Add([]byte(`{"format":1,"containerID":"c1","attachments":[]}`))
	f.Add([]byte(`{`))
	l := openLedger(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(l.dir, "c1.json")
		must(t, os.WriteFile(path, data, 0o600))
		r := lock(t, l, "c1")
		defer r.Close()
		if r.Corrupt() != nil {
			if _, err := r.Quarantine(); err != nil || exists(path) {
				t.Errorf("Quarantine: %v, and the file is still there: %v", err, exists(path))
			}
		}
		quarantined, _ := filepath.Glob(path + ".*")
		for _, path := range quarantined {
			must(t, os.Remove(path))
		}
	})
}
