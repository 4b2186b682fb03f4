package delegate

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/netnstest"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/plugins"
)

// pluginDir holds the real plugins.
var pluginDir string

func TestMain(m *testing.M) {
	netnstest.Node()
	plugins.Main(m, &pluginDir)
}

// folder is where a test puts plugins of its own, which are shell scripts, and where these leave what they saw.
type folder struct {
	*testing.T
	dir string
}

func newFolder(t *testing.T) folder { return folder{T: t, dir: t.TempDir()} }

// plugin makes a plugin of that type. Its script runs in the folder.
func (f folder) plugin(pluginType, script string) {
	f.Helper()
	body := "#!/bin/sh\ncd " + f.dir + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(f.dir, pluginType), []byte(body), 0o755); err != nil {
		f.Fatal(err)
	}
}

// runner finds the folder's plugins, then the real ones.
func (f folder) runner() Runner {
	return Runner{Path: []string{f.dir, pluginDir}, Env: []string{"PATH=" + os.Getenv("PATH")}}
}

// read is what a plugin left in that file, without white space at the ends.
func (f folder) read(name string) string {
	f.Helper()
	data, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		f.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// object is the JSON object that a plugin left in that file.
func (f folder) object(name string) map[string]json.RawMessage {
	f.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(f.read(name)), &object); err != nil {
		f.Fatalf("%s: %v", name, err)
	}
	return object
}

// process is the process whose ID a plugin left in that file; it is killed when the test ends.
func (f folder) process(name string) int {
	f.Helper()
	pid, err := strconv.Atoi(f.read(name))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
	return pid
}

// ended says whether a process is no more, or a zombie that nobody waits for.
func ended(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// eventually waits until what is so, for ten seconds at most.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// chainOf is a delegate's configuration.
func chainOf(t *testing.T, config string) cniconf.Chain {
	t.Helper()
	chain, err := cniconf.Parse([]byte(config), cniconf.Defaults{Name: "green", CNIVersion: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// callOf is a call of a delegate of that configuration.
func callOf(t *testing.T, config string) Call {
	t.Helper()
	return Call{
		ContainerID: "c1",
		Netns:       "/run/netns/a",
		Device:      "net1",
		Args:        "IgnoreUnknown=1;K8S_POD_NAME=app",
		Config:      chainOf(t, config),
	}
}

// failure is err as the *Error of a plugin.
func failure(t *testing.T, err error) *Error {
	t.Helper()
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return failed
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
