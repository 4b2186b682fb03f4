package delegate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
)

func TestOperations_ThatTheDelegateDoesNotSupport(t *testing.T) {
	s := newScripts(t)
	s.add("one", `exit 1`)
	r := s.runner()
	check := func(c Call) error { return r.Check(t.Context(), c) }
	gc := func(c Call) error { return r.GC(t.Context(), c.Config, nil) }
	status := func(c Call) error { return r.Status(t.Context(), c.Config) }
	for name, c := range map[string]struct {
		config string
		run    func(Call) error
	}{
		"CHECK, before 0.4.0": {`{"type": "one", "cniVersion": "0.3.1"}`, check},
		"CHECK, disabled":     {`{"name": "a", "disableCheck": true, "plugins": [{"type": "one"}]}`, check},
		"GC, before 1.1.0":    {`{"type": "one", "cniVersion": "1.0.0"}`, gc},
		"GC, disabled": {
			`{"cniVersion": "1.1.0", "name": "a", "disableGC": true, "plugins": [{"type": "one"}]}`, gc},
		"STATUS, before 1.1.0": {`{"type": "one", "cniVersion": "1.0.0"}`, status},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, c.run(newCall(t, c.config)))
		})
	}
}

func TestGC(t *testing.T) {
	s := newThree(t)
	s.add("two", `echo '{"code": 42, "msg": "no"}'; exit 1`)
	chain := newChain(t, strings.Replace(threeChain, "{", `{"cniVersion": "1.1.0", `, 1))
	for want, valid := range map[string][]types.GCAttachment{
		`[]`:                                     nil,
		`[{"containerID":"c1","ifname":"eth0"}]`: {{ContainerID: "c1", IfName: "eth0"}},
	} {
		t.Run(want, func(t *testing.T) {
			err := s.runner().GC(t.Context(), chain, valid)
			failed := asError(t, err)
			const prefix = "GC of the delegate green: plugin two: "
			if failed.Operation != "GC" || failed.Plugin != "two" || !strings.HasPrefix(err.Error(), prefix) {
				t.Errorf("got %v", err)
			}
			for _, name := range []string{"one.GC", "three.GC"} { // the others run all the same
				stdin := s.object(name)
				for _, key := range []string{"cni.dev/valid-attachments", "cni.dev/attachments"} {
					if got := string(stdin[key]); got != want {
						t.Errorf("%s: %s is %s, want %s", name, key, got, want)
					}
				}
				if string(stdin["name"]) != `"green"` || string(stdin["cniVersion"]) != `"1.1.0"` {
					t.Errorf("%s: %v", name, stdin)
				}
			}
		})
	}
	t.Run("every failure is in the error", func(t *testing.T) {
		s.add("three", `echo '{"code": 43, "msg": "nor this"}'; exit 1`)
		err := s.runner().GC(t.Context(), chain, nil)
		if err == nil || !strings.Contains(err.Error(), "plugin two: no") ||
			!strings.Contains(err.Error(), "plugin three: nor this") {
			t.Errorf("got %v", err)
		}
	})
}

func TestStatus(t *testing.T) {
	s := newScripts(t)
	s.addRecording("one", 1)
	s.add("two", `echo '{"code": 51, "msg": "the daemon is down"}'; exit 1`)
	chain := newChain(t, `{"cniVersion": "1.1.0", "name": "green",
		"plugins": [{"type": "one"}, {"type": "two"}, {"type": "no-such"}]}`)
	t.Run("the first plugin that is not ready", func(t *testing.T) {
		failed := asError(t, s.runner().Status(t.Context(), chain))
		if failed.Plugin != "two" || failed.Code != types.ErrLimitedConnectivity || failed.Operation != "STATUS" {
			t.Errorf("got %+v", failed)
		}
	})
	t.Run("a plugin that is missing", func(t *testing.T) {
		s.add("two", ``)
		if err := s.runner().Status(t.Context(), chain); !errors.Is(err, ErrMissing) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("all are ready", func(t *testing.T) {
		s.add("no-such", ``)
		must(t, s.runner().Status(t.Context(), chain))
	})
}

// A runtime waits for a STATUS, so a plugin that hangs is killed soon after the limit.
func TestStatus_KillsAPluginThatHangs(t *testing.T) {
	s := newScripts(t)
	s.add("one", `trap '' TERM; while :; do sleep 0.01; done`)
	start := time.Now()
	err := s.runner().Status(within(t, 100*time.Millisecond), newChain(t, `{"cniVersion": "1.1.0", "type": "one"}`))
	if took := time.Since(start); err == nil || took > defaultGrace {
		t.Errorf("after %v: %v", took, err)
	}
}
