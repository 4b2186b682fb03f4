package delegate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// scripts is a directory of plugins that are shell scripts. They leave there what they saw.
type scripts struct {
	*testing.T
	dir string
}

func newScripts(t *testing.T) scripts {
	t.Helper()
	return scripts{T: t, dir: t.TempDir()}
}

// path returns the path of the file of that name.
func (s scripts) path(name string) string { return filepath.Join(s.dir, name) }

// add adds a plugin of that type. Its script runs in the directory.
func (s scripts) add(pluginType, script string) {
	s.Helper()
	must(s, os.WriteFile(s.path(pluginType), []byte("#!/bin/sh\ncd "+s.dir+"\n"+script+"\n"), 0o755))
}

// addRecording adds a plugin that appends its operation to the file "order", writes its stdin to
// TYPE.OPERATION, and prints a result with the address 10.0.0.n/24.
func (s scripts) addRecording(pluginType string, n int) {
	s.Helper()
	s.add(pluginType, fmt.Sprintf(`echo $CNI_COMMAND %[1]s >>order; cat >%[1]s.$CNI_COMMAND
[ $CNI_COMMAND = DEL ] || echo '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.%[2]d/24"}]}'`, pluginType, n))
}

// runner returns a Runner that finds the plugins, and then those of more directories.
func (s scripts) runner(more ...string) Runner {
	return Runner{
		Plugins: NewPlugins(append([]string{s.dir}, more...)),
		Env:     []string{"PATH=" + os.Getenv("PATH")},
	}
}

// read returns what a plugin wrote to that file, without white space at the ends.
func (s scripts) read(name string) string {
	s.Helper()
	data, err := os.ReadFile(s.path(name))
	must(s, err)
	return strings.TrimSpace(string(data))
}

// expectOrder checks in which order the operations of the plugins ran.
func (s scripts) expectOrder(want ...string) {
	s.Helper()
	if got := s.read("order"); got != strings.Join(want, "\n") {
		s.Errorf("the order is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// object returns the JSON object that a plugin wrote to that file.
func (s scripts) object(name string) map[string]json.RawMessage {
	s.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s.read(name)), &object); err != nil {
		s.Fatalf("%s: %v", name, err)
	}
	return object
}

// pid returns the ID that a plugin wrote to that file, of a process that is killed when the test
// ends.
func (s scripts) pid(name string) int {
	s.Helper()
	pid, err := strconv.Atoi(s.read(name))
	must(s, err)
	s.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
	return pid
}

var errReady = errors.New("the node shuts down")

// untilThereIs returns a context that ends with errReady when a plugin has created that file.
func (s scripts) untilThereIs(name string) context.Context {
	ctx, cancel := context.WithCancelCause(s.Context())
	go func() {
		defer cancel(errReady)
		for ; s.Context().Err() == nil; time.Sleep(time.Millisecond) {
			if exists(s.path(name)) {
				return
			}
		}
	}()
	return ctx
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// hasEnded reports whether the process has ended; a zombie has.
func hasEnded(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// eventually waits until ok returns true, for ten seconds at most.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// newChain parses a delegate's configuration.
func newChain(t *testing.T, config string) cniconf.Chain {
	t.Helper()
	chain, err := cniconf.Parse([]byte(config), cniconf.Defaults{Name: "green", CNIVersion: "1.0.0"})
	must(t, err)
	return chain
}

// newCall returns a call of a delegate with that configuration.
func newCall(t *testing.T, config string) Call {
	t.Helper()
	return Call{
		ContainerID: "c1",
		Netns:       "/run/netns/a",
		IfName:      "net1",
		Args:        "IgnoreUnknown=1;K8S_POD_NAME=app",
		Config:      newChain(t, config),
	}
}

// asError returns err as an *Error.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return failed
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
