package ledger

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// openMultus returns a ledger beside a directory of Multus's.
func openMultus(t testing.TB) Ledger {
	t.Helper()
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "results"), 0o700))
	return openLedger(t).WithMultus(dir)
}

// multusElement returns an element of Multus's file. Each of keys is a key and its value.
func multusElement(config string, keys ...string) string {
	keys = append(keys, `"Bytes": "`+base64.StdEncoding.EncodeToString([]byte(config))+`"`)
	return "{" + strings.Join(keys, ", ") + "}"
}

func (l Ledger) writeMultus(t testing.TB, id string, elements ...string) {
	t.Helper()
	data := "[" + strings.Join(elements, ", ") + "]"
	must(t, os.WriteFile(filepath.Join(l.multusDir, id), []byte(data), 0o600))
}

func (l Ledger) writeMultusResult(t testing.TB, name, content string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(l.multusDir, "results", name), []byte(content), 0o600))
}

const ptp, result040 = `{"cniVersion": "0.4.0", "name": "n", "type": "ptp"}`,
	`{"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.0.0.2/24"}]}`

func TestReadMultus(t *testing.T) {
	l := openMultus(t)
	l.writeMultus(t, "c1",
		multusElement(ptp, `"Name": "n"`),
		multusElement(`{"name": "green-net", "plugins": [{"type": "bridge"}, {"type": "tuning"}]}`,
			`"Name": "tenant/green"`),
		multusElement(ptp, `"Name": "tenant/blue"`, `"ifnameRequest": "blue0"`, `"macRequest": "0a:58:00:00:00:01"`),
	)
	l.writeMultusResult(t, "n-c1-eth0", `{"kind": "cniCacheV1", "result": `+result040+`,
		"capabilityArgs": {"portMappings": [], "CNIDeviceInfoFile": "`+deviceInfoDir+`/x"}}`)
	l.writeMultusResult(t, "green-net-c1-net1", `{"result": {"cniVersion": "7"}}`)
	record, files, err := l.readMultus("c1", "eth0")
	must(t, err)
	if record.IfName != "eth0" || ifNames(record.Attachments) != "eth0 net1 blue0" {
		t.Errorf("got %+v", record)
	}
	var got []string
	for _, a := range record.Attachments {
		if a.NPWG != (a.Namespace != "") {
			t.Errorf("%s/%s: NPWG is %t", a.Namespace, a.Network, a.NPWG)
		}
		got = append(got, fmt.Sprintf("%s/%s %s %d %s %d", a.Namespace, a.Network, a.Config.CNIVersion,
			len(a.Config.Plugins), a.State, len(a.RuntimeConfig)))
	}
	want := "/n 0.4.0 1 attached 2, tenant/green 0.1.0 2 planned 0, tenant/blue 0.4.0 1 planned 0"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
	var result struct{ IPs []any }
	if err := json.Unmarshal(record.Attachments[0].Result, &result); err != nil || len(result.IPs) != 1 {
		t.Errorf("got the result %s", record.Attachments[0].Result)
	}
	if want := deviceInfoDir + "/x"; files[0] != want || files[len(files)-1] != filepath.Join(l.multusDir, "c1") {
		t.Errorf("got the files %v", files)
	}
}

func TestReadMultus_None(t *testing.T) {
	l := openMultus(t)
	l.writeMultus(t, "kactus", multusElement(`{"name": "k", "plugins": [{"type": "kactus"}]}`))
	l.writeMultus(t, "c1", multusElement(ptp))
	for _, id := range []string{"c2", "kactus", "results", "../c1", "", "c1.x"} {
		if record, err := l.ReadMultus(id, "eth0"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %+v, %v", id, record, err)
		}
	}
	if record, err := l.WithMultus("").ReadMultus("c1", "eth0"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory: got %+v, %v", record, err)
	}
}

func TestReadMultus_Corrupt(t *testing.T) {
	for name, content := range map[string]string{
		"no JSON":               `[{`,
		"no array":              `{}`,
		"no delegates":          `[]`,
		"null":                  `[null]`,
		"no configuration":      `[{"Name": "n"}]`,
		"no base64":             `[{"Bytes": "%"}]`,
		"a path as type":        `[` + multusElement(`{"name": "n", "type": "../sh"}`) + `]`,
		"a path as name":        `[` + multusElement(`{"name": "../n", "type": "ptp"}`) + `]`,
		"a path as interface":   `[` + multusElement(ptp, `"ifnameRequest": "../x"`) + `]`,
		"an interface twice":    `[` + multusElement(ptp) + `, ` + multusElement(ptp, `"ifnameRequest": "eth0"`) + `]`,
		"a key twice":           `[{"Bytes": "", "bytes": ""}]`,
		"a file of another use": `"results"`,
	} {
		t.Run(name, func(t *testing.T) {
			l := openMultus(t)
			path := filepath.Join(l.multusDir, "c1")
			must(t, os.WriteFile(path, []byte(content), 0o600))
			var broken CorruptRecord
			if _, err := l.ReadMultus("c1", "eth0"); !errors.As(err, &broken) || broken.Path != path {
				t.Errorf("got %v", err)
			}
			r := lock(t, l, "c1")
			defer r.Close()
			corrupt, err := r.AdoptMultus(netns.ID{}, "eth0", podargs.Pod{})
			must(t, err)
			if corrupt == nil || len(r.Record().Attachments) > 0 || exists(path) {
				t.Errorf("got %v, %+v", corrupt, r.Record())
			}
		})
	}
}

// A link, which others may have made, is not followed.
func TestReadMultus_FollowsNoLink(t *testing.T) {
	l := openMultus(t)
	l.writeMultus(t, "c1", multusElement(ptp))
	must(t, os.Symlink(filepath.Join(l.multusDir, "c1"), filepath.Join(l.multusDir, "c2")))
	if _, err := l.ReadMultus("c2", "eth0"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestAdoptMultus_FilesGoWithTheFirstChange(t *testing.T) {
	l := openMultus(t)
	l.writeMultus(t, "c1", multusElement(ptp), multusElement(ptp))
	l.writeMultusResult(t, "n-c1-eth0", `{"result": `+result040+`}`)
	l.writeMultusResult(t, "n-c2-eth0", `{"result": `+result040+`}`)
	r := lock(t, l, "c1")
	pod := podargs.Pod{Namespace: "tenant", Name: "app"}
	_, err := r.AdoptMultus(netns.ID{Path: "/x", BootID: "b"}, "eth0", pod)
	must(t, err)
	if names := fileNames(t, l.dir); names != "" || !exists(filepath.Join(l.multusDir, "c1")) {
		t.Errorf("changed already: %s", names)
	}
	must(t, r.Remove("net1"))
	r.Close()
	if names := fileNames(t, l.multusDir) + " " + fileNames(t, l.multusDir+"/results"); names != "results n-c2-eth0" {
		t.Errorf("Multus has %s", names)
	}
	record, err := l.ReadRecord("c1")
	must(t, err)
	if ifNames(record.Attachments) != "eth0" || record.Pod != pod || record.Netns.Path != "/x" ||
		record.IfName != "eth0" || !strings.Contains(record.Attachments[0].Args, "K8S_POD_NAME=app") {
		t.Errorf("got %+v", record)
	}
}

func TestAdoptMultus_OwnRecordComesFirst(t *testing.T) {
	l := openMultus(t)
	l.writeMultus(t, "c1", multusElement(ptp), multusElement(ptp), multusElement(ptp))
	writeRecord(t, l)
	r := lock(t, l, "c1")
	defer r.Close()
	_, err := r.AdoptMultus(netns.ID{}, "eth0", podargs.Pod{})
	must(t, err)
	if got := ifNames(r.Record().Attachments); got != "eth0 net1" {
		t.Errorf("got %s", got)
	}
}

// A hot ADD may have made a record of a Pod that Multus attached.
func TestAdoptMultus_BesideAHotNetwork(t *testing.T) {
	l := openMultus(t)
	l.writeMultus(t, "c1", multusElement(ptp), multusElement(ptp))
	r := lock(t, l, "c1")
	defer r.Close()
	must(t, r.WritePlanned(t.Context(), netns.ID{Path: "/hot"}, podargs.Pod{}, "", attachments(t, "net1", "net2")))
	_, err := r.AdoptMultus(netns.ID{Path: "/x"}, "eth0", podargs.Pod{})
	must(t, err)
	got := r.Record()
	if ifNames(got.Attachments) != "net1 net2 eth0" || got.IfName != "eth0" || got.Netns.Path != "/hot" {
		t.Errorf("got %+v", got)
	}
}

// FuzzMultus checks that whatever is in a file of Multus's, reading it ends in an error or in a
// record that can be written, and read again.
func FuzzMultus(f *testing.F) {
	for _, config := range []string{ptp, `{"name": "n", "plugins": [{"type": "ptp"}]}`, `{}`, `[`} {
		f.Add([]byte("["+multusElement(config, `"Name": "a/b"`)+"]"), []byte(`{"result": `+result040+`}`))
	}
	l := openMultus(f)
	f.Fuzz(func(t *testing.T, data, result []byte) {
		l.writeMultusResult(t, "n-c1-eth0", string(result))
		record, _, err := l.decodeMultus(data, "c1", "eth0")
		if err != nil {
			return
		}
		written, err := encode(record)
		must(t, err)
		if again, err := decode(written, "c1"); err != nil || len(again.Attachments) != len(record.Attachments) {
			t.Errorf("cannot be read again: %v", err)
		}
	})
}

// The files are what Multus 4.3 wrote, with two delegates.
func TestReadMultus_Golden(t *testing.T) {
	dir := t.TempDir() // whose files belong to the user that reads them
	must(t, os.CopyFS(dir, os.DirFS("testdata/multus")))
	l := Ledger{}.WithMultus(dir)
	record, files, err := l.readMultus("c1", "eth0")
	must(t, err)
	if ifNames(record.Attachments) != "eth0 net1" || len(files) != 3 {
		t.Fatalf("got %+v, %v", record, files)
	}
	for i, want := range []struct {
		network, plugins, address string
	}{{"cbr0", "ptp portmap", "10.231.1.2/24"}, {"green-net", "bridge", "10.231.2.2/24"}} {
		a := record.Attachments[i]
		var plugins []string
		for _, p := range a.Config.Plugins {
			plugins = append(plugins, p.Type)
		}
		if a.Network != want.network || a.State != Attached || strings.Join(plugins, " ") != want.plugins ||
			!strings.Contains(string(a.Result), want.address) {
			t.Errorf("got %+v, want %+v", a, want)
		}
	}
}
