package delegate

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
)

func TestAChainsCheckRunsInOrderAndGivesEachTheResultOfTheAdd(t *testing.T) {
	f := newFolder(t)
	for i, name := range []string{"one", "two", "three"} {
		f.plugin(name, recording(name, i+1))
	}
	c := callOf(t, threeInAChain)
	c.Result = json.RawMessage(`{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.0.0.9/24"}]}`)
	if err := f.runner().Check(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := f.read("order"); got != "CHECK one\nCHECK two\nCHECK three" {
		t.Errorf("order:\n%s", got)
	}
	for _, name := range []string{"one.CHECK", "two.CHECK", "three.CHECK"} {
		if prev := string(f.object(name)["prevResult"]); !strings.Contains(prev, "10.0.0.9/24") || !strings.Contains(prev, `"cniVersion":"1.0.0"`) {
			t.Errorf("%s got the prevResult %s", name, prev)
		}
	}
}

func TestACheckEndsAtThePluginThatFails(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", recording("one", 1))
	f.plugin("two", `echo '{"code": 42, "msg": "the route is gone"}'; exit 1`)
	f.plugin("three", recording("three", 3))
	failed := failure(t, f.runner().Check(t.Context(), callOf(t, threeInAChain)))
	if failed.Verb != "CHECK" || failed.Plugin != "two" || failed.Code != 42 {
		t.Errorf("%+v", failed)
	}
	if got := f.read("order"); got != "CHECK one" {
		t.Errorf("order:\n%s", got)
	}
}

func TestDelegatesAreNotGivenVerbsThatTheyDoNotHave(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", `exit 1`)
	r := f.runner()
	for config, run := range map[string]func(Call) error{
		`{"type": "one", "cniVersion": "0.3.1"}`:                                                func(c Call) error { return r.Check(t.Context(), c) },
		`{"name": "a", "disableCheck": true, "plugins": [{"type": "one"}]}`:                     func(c Call) error { return r.Check(t.Context(), c) },
		`{"type": "one", "cniVersion": "1.0.0"}`:                                                func(c Call) error { return r.GC(t.Context(), c.Config, nil) },
		`{"cniVersion": "1.1.0", "name": "a", "disableGC": true, "plugins": [{"type": "one"}]}`: func(c Call) error { return r.GC(t.Context(), c.Config, nil) },
		`{"type": "one", "cniVersion": "1.0.0", "name": "b"}`:                                   func(c Call) error { return r.Status(t.Context(), c.Config) },
	} {
		if err := run(callOf(t, config)); err != nil {
			t.Errorf("%s: %v", config, err)
		}
	}
}

func TestAGCTellsEachPluginWhatIsValidAndGoesOnPastOneThatFails(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", recording("one", 1))
	f.plugin("two", `echo '{"code": 42, "msg": "no"}'; exit 1`)
	f.plugin("three", recording("three", 3))
	chain := chainOf(t, strings.Replace(threeInAChain, "{", `{"cniVersion": "1.1.0", `, 1))
	for want, valid := range map[string][]types.GCAttachment{
		`[]`:                                     nil,
		`[{"containerID":"c1","ifname":"eth0"}]`: {{ContainerID: "c1", IfName: "eth0"}},
	} {
		err := f.runner().GC(t.Context(), chain, valid)
		if failed := failure(t, err); failed.Verb != "GC" || failed.Plugin != "two" || !strings.HasPrefix(err.Error(), "GC of the delegate green: plugin two: ") {
			t.Errorf("got %v", err)
		}
		for _, name := range []string{"one.GC", "three.GC"} {
			stdin := f.object(name)
			for _, key := range []string{"cni.dev/valid-attachments", "cni.dev/attachments"} {
				if got := string(stdin[key]); got != want {
					t.Errorf("%s: %s is %s; want %s", name, key, got, want)
				}
			}
			if string(stdin["name"]) != `"green"` || string(stdin["cniVersion"]) != `"1.1.0"` {
				t.Errorf("%s: %v", name, stdin)
			}
		}
	}
}

func TestAStatusIsThatOfTheFirstPluginThatIsNotReady(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", recording("one", 1))
	f.plugin("two", `echo '{"code": 51, "msg": "the daemon is down"}'; exit 1`)
	chain := chainOf(t, `{"cniVersion": "1.1.0", "name": "green", "plugins": [{"type": "one"}, {"type": "two"}, {"type": "no-such"}]}`)
	if failed := failure(t, f.runner().Status(t.Context(), chain)); failed.Plugin != "two" || failed.Code != types.ErrLimitedConnectivity {
		t.Errorf("got %+v", failed)
	}
	f.plugin("two", ``)
	if err := f.runner().Status(t.Context(), chain); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v", err)
	}
}

// Runtimes wait one second for a STATUS.
func TestAPluginThatHangsAtAStatusIsEndedAtOnce(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", `trap '' TERM; while :; do sleep 0.01; done`)
	begin := time.Now()
	err := f.runner().Status(within(t, 100*time.Millisecond), chainOf(t, `{"cniVersion": "1.1.0", "type": "one"}`))
	if took := time.Since(begin); err == nil || took > defaultGrace {
		t.Errorf("it took %v, and said %v", took, err)
	}
}

func TestARealPluginAnswersToGCAndStatus(t *testing.T) {
	f := newFolder(t)
	chain := chainOf(t, `{"cniVersion": "1.1.0", "type": "ptp", "ipam": {"type": "host-local", "dataDir": "`+f.dir+`", "ranges": [[{"subnet": "10.9.0.0/24"}]]}}`)
	if err := f.runner().GC(t.Context(), chain, nil); err != nil {
		t.Error(err)
	}
	if err := f.runner().Status(t.Context(), chain); err != nil {
		t.Error(err)
	}
}
