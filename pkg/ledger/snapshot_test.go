package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRecords_ChangesNothingAndTakesNoLock(t *testing.T) {
	l := openLedger(t)
	r := lock(t, l, "c1")
	defer r.Close()
	writePlanned(t, r, "eth0", "net1")
	must(t, os.WriteFile(r.path(".tmp"), []byte("half"), 0o600))
	must(t, os.WriteFile(filepath.Join(l.dir, "a.json"), []byte("{"), 0o600))
	before := fileNames(t, l.dir)
	records, _, err := readAll(At(l.dir, l.lockDir))
	must(t, err)
	if len(records) != 1 || ifNames(records[0].Attachments) != "eth0 net1" {
		t.Errorf("read %+v", records)
	}
	if after := fileNames(t, l.dir); after != before {
		t.Errorf("the directory had %s, and has %s", before, after)
	}
}

func TestRecords_Corrupt(t *testing.T) {
	l := openLedger(t)
	r := lock(t, l, "good")
	writePlanned(t, r, "eth0")
	r.Close()
	for _, id := range []string{"bad", "worse"} {
		must(t, os.WriteFile(filepath.Join(l.dir, id+".json"), []byte("{"), 0o600))
	}
	worse := lock(t, l, "worse")
	_, err := worse.Quarantine()
	must(t, err)
	worse.Close()
	must(t, os.Symlink("good.json", filepath.Join(l.dir, "link.json")))
	for _, name := range []string{".json", ".json.corrupt", "c1.corrupt", "c1.lock", "notes.txt"} { // not of the ledger
		must(t, os.WriteFile(filepath.Join(l.dir, name), nil, 0o600))
	}

	records, corrupt, err := readAll(l)
	must(t, err)
	if len(records) != 1 || records[0].ContainerID != "good" {
		t.Errorf("records: %+v", records)
	}
	quarantined := map[string]bool{}
	for _, c := range corrupt {
		quarantined[c.ContainerID] = c.Quarantined
		if (c.Cause == nil) != c.Quarantined || !exists(c.Path) {
			t.Errorf("%+v", c)
		}
		want := "the record of the container " + c.ContainerID + " is corrupt: " + c.Path + ": "
		if c.Quarantined {
			want = "the record of the container worse was corrupt, and is quarantined as " + c.Path
		}
		if got := c.Error(); !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if want := map[string]bool{"bad": false, "link": false, "worse": true}; !maps.Equal(quarantined, want) {
		t.Errorf("quarantined: %v, want %v", quarantined, want)
	}
}

func TestRecords_NotADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if records, _, err := readAll(At(file, "")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %+v, %v", records, err)
	}
}

// readAll returns what Records returns.
func readAll(l Ledger) (records []Record, corrupt []CorruptRecord, err error) {
	for r, err := range l.Records() {
		var c CorruptRecord
		switch {
		case errors.As(err, &c):
			corrupt = append(corrupt, c)
		case err != nil:
			return nil, nil, err
		default:
			records = append(records, r)
		}
	}
	return records, corrupt, nil
}

func TestRecords_CanBeLeftEarly(t *testing.T) {
	l := openLedger(t)
	for _, id := range []string{"c1", "c2"} {
		r := lock(t, l, id)
		writePlanned(t, r, "eth0")
		r.Close()
	}
	for r, err := range l.Records() {
		if err != nil || r.ContainerID != "c1" {
			t.Errorf("got %+v, %v", r, err)
		}
		break
	}
}

func TestReadRecord(t *testing.T) {
	l := openLedger(t)
	if _, err := l.ReadRecord("c1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no record: %v", err)
	}
	writeRecord(t, l)
	if r, err := l.ReadRecord("c1"); err != nil || r.ContainerID != "c1" || ifNames(r.Attachments) != "eth0 net1" {
		t.Errorf("got %+v, %v", r, err)
	}
}

// Operators read the ledger on nodes with 500 Pods.
func BenchmarkReadOf500Pods(b *testing.B) {
	l := openLedger(b)
	for i := range 500 {
		r := lock(b, l, fmt.Sprintf("container-%d", i))
		writePlanned(b, r, "eth0", "net1", "net2", "net3")
		r.Close()
	}
	for b.Loop() {
		if records, _, err := readAll(l); err != nil || len(records) != 500 {
			b.Fatal(len(records), err)
		}
	}
}
