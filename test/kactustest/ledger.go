package kactustest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Record is what the tests read of a record of the ledger. It is declared here, apart from the
// product's own types, because the format is API.
type Record struct {
	Format      int             `json:"format"`
	ContainerID string          `json:"containerID"`
	Attachments []Attachment    `json:"attachments"`
	Orphans     json.RawMessage `json:"orphans"`
}

// An Attachment is an attachment of a [Record].
type Attachment struct {
	Network string          `json:"network"`
	IfName  string          `json:"device"`
	State   string          `json:"state"`
	Result  json.RawMessage `json:"result"`
}

// Find returns the attachment with that interface name.
func (r Record) Find(ifName string) (Attachment, bool) {
	for _, a := range r.Attachments {
		if a.IfName == ifName {
			return a, true
		}
	}
	return Attachment{}, false
}

// RecordPath returns the path of the Pod's record.
func (p *Pod) RecordPath() string { return filepath.Join(p.Conf.CNIDir, p.ID+".json") }

// HasRecord reports whether the ledger has a record of the Pod.
func (p *Pod) HasRecord() bool {
	_, err := os.Stat(p.RecordPath())
	return err == nil
}

// ReadRecord returns the content of the Pod's record.
func (p *Pod) ReadRecord(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(p.RecordPath())
	Must(t, err)
	return data
}

// Record returns the Pod's record.
func (p *Pod) Record(t *testing.T) Record {
	t.Helper()
	var r Record
	Must(t, json.Unmarshal(p.ReadRecord(t), &r))
	return r
}

// EditRecord replaces the content of the Pod's record by what edit returns.
func (p *Pod) EditRecord(t *testing.T, edit func(record string) string) {
	t.Helper()
	Must(t, os.WriteFile(p.RecordPath(), []byte(edit(string(p.ReadRecord(t)))), 0o600))
}

// CopyRecord creates another Pod on the node, with a record as if its networks were attached to the
// same network namespace.
func (p *Pod) CopyRecord(t *testing.T) {
	t.Helper()
	n := NextNumber()
	c := &Pod{Tenant: p.Tenant, Name: fmt.Sprintf("pod-%d", n), ID: fmt.Sprintf("sandbox-%d", n)}
	c.create(t, map[string]string{"networks": `[{"name":"green"}]`}, nil)
	record := strings.NewReplacer(p.ID, c.ID, p.UID, c.UID, `"`+p.Name+`"`, `"`+c.Name+`"`).
		Replace(string(p.ReadRecord(t)))
	// In the record, the path of the network namespace stays what it was.
	record = strings.ReplaceAll(record, strings.ReplaceAll(p.Netns, p.ID, c.ID), p.Netns)
	Must(t, os.WriteFile(c.RecordPath(), []byte(record), 0o600))
}

// PretendReboot makes the Pod's record look as if the node had been restarted since, so that its
// network namespace is gone for certain: the kernel may have given its inode number to another one.
func (p *Pod) PretendReboot(t *testing.T) {
	t.Helper()
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	Must(t, err)
	p.EditRecord(t, func(record string) string {
		return strings.ReplaceAll(record, strings.TrimSpace(string(bootID)), "00000000-0000-0000-0000-000000000000")
	})
}

// FileNames returns the names of the files in a directory, and nothing where the directory does not
// exist.
func FileNames(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}
