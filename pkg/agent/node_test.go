package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
)

const validNetconf = `"type": "kactus", "delegates": [{"type": "flannel", "masterPlugin": true}]`

func TestNode_FindsTheNetconf(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string // the file, or words of the error
	}{
		{"a file of its own", map[string]string{
			"00-kactus.conf": `{"cniVersion": "1.0.0", "name": "n", ` + validNetconf + `}`}, "00-kactus.conf"},
		{"the first plugin of a list", map[string]string{
			"10-mesh.conflist": `{"cniVersion": "1.0.0", "name": "n", "plugins": [{` + validNetconf +
				`}, {"type": "mesh"}]}`},
			"10-mesh.conflist"},
		{"after others", map[string]string{
			"05-other.conf":  `{"cniVersion": "1.0.0", "name": "o", "type": "bridge"}`,
			"06-broken.conf": `{`,
			"10-kactus.json": `{"cniVersion": "1.0.0", "name": "n", ` + validNetconf + `}`}, "10-kactus.json"},
		{"not with another suffix", map[string]string{
			"00-kactus.conf.bak": `{"cniVersion": "1.0.0", "name": "n", ` + validNetconf + `}`}, ErrNoNetconf.Error()},
		{"invalid", map[string]string{
			"00-kactus.conf": `{"cniVersion": "1.0.0", "name": "n", "type": "kactus"}`}, "00-kactus.conf: delegates"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := (&Node{ConfDir: dir}).Netconf()
			switch {
			case err != nil && !strings.Contains(err.Error(), tt.want):
				t.Errorf("got %v; want %s", err, tt.want)
			case err == nil && filepath.Base(got.Path) != tt.want:
				t.Errorf("got %s; want %s", got.Path, tt.want)
			case err == nil && (got.Conf.Name != "n" || !strings.Contains(string(got.Stdin), `"kactus"`)):
				t.Errorf("got %+v", got)
			}
		})
	}
	if _, err := (&Node{ConfDir: "/nonexistent"}).Netconf(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: got %v", err)
	}
}

func TestNode_SeesThatTheNetconfChanges(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "00-kactus.conf")
	n := &Node{ConfDir: dir}
	for _, name := range []string{"one", "two", "two", ""} {
		if name == "" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path+".tmp",
			[]byte(`{"cniVersion": "1.0.0", "name": "`+name+`", `+validNetconf+`}`), 0o600); err != nil {
			t.Fatal(err)
		} else if err := os.Rename(path+".tmp", path); err != nil { // as an installer does
			t.Fatal(err)
		}
		for range 2 {
			if got, err := n.Netconf(); got.Conf.Name != name || (err != nil) != (name == "") {
				t.Errorf("got %q, %v; want %q", got.Conf.Name, err, name)
			}
		}
	}
}

// scripted returns a node whose kactus is a shell script.
func scripted(t *testing.T, script string) *Node {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kactus"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Node{ConfDir: dir, BinDirs: "/nonexistent:" + dir}
}

func TestNode_RunsKactusAsARuntimeDoes(t *testing.T) {
	t.Setenv("KACTUS_AGENT_SECRET", "not for kactus")
	t.Setenv("_CNI_LOGGING_LEVEL", "3")
	out := filepath.Join(t.TempDir(), "out")
	n := scripted(t, `{ env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^PATH= | sort; pwd; cat; } > `+out)
	err := n.Run(t.Context(), Call{
		Command: "ADD", ContainerID: "id", Netns: "/run/netns/a", IfName: "net1", Args: "A=B", Stdin: []byte("netconf"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	want := "CNI_ARGS=A=B\nCNI_COMMAND=ADD\nCNI_CONTAINERID=id\nCNI_IFNAME=net1\nCNI_NETNS=/run/netns/a\n" +
		"CNI_PATH=" + n.BinDirs + "\n_CNI_LOGGING_LEVEL=3\n/\nnetconf"
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func TestNode_ReturnsWhatKactusPrints(t *testing.T) {
	var coded *types.Error
	err := scripted(t, `echo '{"code": 11, "msg": "locked", "details": "by 7"}'; exit 1`).Run(t.Context(), Call{})
	if !errors.As(err, &coded) || coded.Code != 11 || coded.Msg != "locked" {
		t.Errorf("a CNI error: got %v", err)
	}
	err = scripted(t, `echo panic >&2; exit 2`).Run(t.Context(), Call{})
	if err == nil || !strings.Contains(err.Error(), "exit status 2: panic") {
		t.Errorf("another end: got %v", err)
	}
	err = (&Node{BinDirs: "/nonexistent"}).Run(t.Context(), Call{})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("no binary: got %v", err)
	}
	if err := scripted(t, `sleep 4 & exit 0`).Run(t.Context(), Call{}); err != nil {
		t.Errorf("with a daemon that holds stdout open: got %v", err)
	}
}

func TestNode_AsksKactusToEndFirst(t *testing.T) {
	dir := t.TempDir()
	ready, rolledBack := filepath.Join(dir, "ready"), filepath.Join(dir, "rolled-back")
	n := scripted(t, `trap 'echo > `+rolledBack+`; exit 1' TERM; echo > `+ready+`; while :; do sleep 0.01; done`)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for _, err := os.Stat(ready); err != nil; _, err = os.Stat(ready) {
			time.Sleep(time.Millisecond)
		}
		cancel(errors.New("the agent ends"))
	}()
	err := n.Run(ctx, Call{})
	if err == nil || !strings.Contains(err.Error(), "the agent ends") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(rolledBack); err != nil {
		t.Error("kactus was killed, and could not roll back")
	}
}
