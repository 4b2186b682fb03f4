package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

const predecessorRecord = `[
	{"cniVersion": "0.3.1", "type": "flannel", "masterPlugin": true, "delegate": {"isDefaultGateway": true}},
	{"type": "vlan", "networkName": "green", "cniVersion": "0.3.1", "name": "green-net", "vlanId": 42,
		"master": "eth0", "ipam": {"type": "null"}}]`

func writePredecessor(t *testing.T, l Ledger, id, data string) string {
	t.Helper()
	path := filepath.Join(l.dir, id)
	must(t, os.WriteFile(path, []byte(data), 0o600))
	return path
}

func TestPredecessor_Read(t *testing.T) {
	for name, c := range map[string]struct{ data, ifNames, networks string }{
		"master and auxiliary": {predecessorRecord, "eth0 net9f27410725ab", "kactus green"},
		"a primary network": {
			`[{"type": "ptp", "name": "n", "networkName": "green", "masterPlugin": true}]`, "eth0", "green",
		},
		"the older spelling": {
			`[{"type": "ptp", "name": "n", "networkName": "green", "masterplugin": true}]`, "eth0", "green",
		},
		"no master, after a hot ADD alone": {
			`[{"type": "ptp", "name": "n", "networkName": "green"}]`, "net9f27410725ab", "green",
		},
		"no network name": {`[{"type": "ptp", "name": "n"}]`, "eth0", "n"},
		"none":            {`[]`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLedger(t)
			writePredecessor(t, l, "c1", c.data)
			record, err := l.ReadRecord("c1")
			must(t, err)
			var networks []string
			for _, a := range record.Attachments {
				networks = append(networks, a.Network)
				if a.State != Attached || a.Created.IsZero() {
					t.Errorf("got %+v", a)
				}
			}
			if ifNames(record.Attachments) != c.ifNames || strings.Join(networks, " ") != c.networks {
				t.Errorf("got %+v", record)
			}
			records, _, err := readAll(l)
			if err != nil || len(records) != 1 || ifNames(records[0].Attachments) != c.ifNames {
				t.Errorf("Records: %+v, %v", records, err)
			}
		})
	}
}

func TestPredecessor_IsReplacedByTheFirstChange(t *testing.T) {
	l := openLedger(t)
	path := writePredecessor(t, l, "c1", predecessorRecord)
	r := lock(t, l, "c1")
	r.Adopt("net0", podargs.Pod{Namespace: "default", Name: "app"})
	must(t, r.Remove("net9f27410725ab"))
	r.Close()
	if exists(path) {
		t.Error("the predecessor's file is still there")
	}
	record, err := l.ReadRecord("c1")
	if err != nil || ifNames(record.Attachments) != "net0" || record.IfName != "net0" || record.Pod.Name != "app" {
		t.Fatalf("got %+v, %v", record, err)
	}
	if args := record.Attachments[0].Args; !strings.Contains(args, "K8S_POD_NAME=app") {
		t.Errorf("args: %s", args)
	}
	r = lock(t, l, "c1")
	must(t, r.Remove("net0"))
	r.Close()
	if names := fileNames(t, l.dir); names != "" {
		t.Errorf("left: %s", names)
	}
}

func TestPredecessor_AdoptChangesNoOtherRecord(t *testing.T) {
	l := openLedger(t)
	writeRecord(t, l)
	r := lock(t, l, "c1")
	defer r.Close()
	before := r.Record()
	r.Adopt("net7", podargs.Pod{Name: "other"})
	if after := r.Record(); after.IfName != before.IfName || after.Pod != before.Pod {
		t.Errorf("got %+v", after)
	}
}

func TestPredecessor_Corrupt(t *testing.T) {
	for name, write := range map[string]func(t *testing.T, path string){
		"no JSON":      func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte(`[{`), 0o600)) },
		"no array":     func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte(`{}`), 0o600)) },
		"null element": func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte(`[null]`), 0o600)) },
		"a path as type": func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(`[{"type": "../sh"}]`), 0o600))
		},
		"a name that is no string": func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(`[{"type": "ptp", "networkName": 1}]`), 0o600))
		},
		"a link": func(t *testing.T, path string) {
			target := filepath.Join(t.TempDir(), "target")
			must(t, os.WriteFile(target, []byte(predecessorRecord), 0o600))
			must(t, os.Symlink(target, path))
		},
		"a directory": func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) },
		"a huge file": func(t *testing.T, path string) {
			must(t, os.WriteFile(path, nil, 0o600))
			must(t, os.Truncate(path, maxSize+1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLedger(t)
			path := filepath.Join(l.dir, "c1")
			write(t, path)
			if records, corrupt, err := readAll(l); err != nil || len(records) != 0 || len(corrupt) != 1 {
				t.Errorf("got %+v, %+v, %v", records, corrupt, err)
			}
			r := lock(t, l, "c1")
			defer r.Close()
			if r.Corrupt() == nil || len(r.Record().Attachments) != 0 {
				t.Fatalf("not corrupt: %+v", r.Record())
			}
			moved, err := r.Quarantine()
			if err != nil || exists(path) || !strings.HasSuffix(moved, ".corrupt") {
				t.Errorf("got %s, %v", moved, err)
			}
		})
	}
}

func TestPredecessor_OwnRecordComesFirst(t *testing.T) {
	l := openLedger(t)
	writeRecord(t, l)
	writePredecessor(t, l, "c1", predecessorRecord)
	writePredecessor(t, l, ".probe", "[]")
	records, corrupt, err := readAll(l)
	if err != nil || len(records) != 1 || len(corrupt) != 0 || ifNames(records[0].Attachments) != "eth0 net1" {
		t.Errorf("got %+v, %+v, %v", records, corrupt, err)
	}
	if _, err := l.ReadRecord("c2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
