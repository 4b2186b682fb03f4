package delegate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

const (
	onePlugin  = `{"type": "one"}`
	threeChain = `{"name": "green", "plugins": [{"type": "one"}, {"type": "two"}, {"type": "three"}]}`
)

// newThree returns a directory with the plugins one, two and three, which record what they get.
func newThree(t *testing.T) scripts {
	t.Helper()
	s := newScripts(t)
	for i, name := range []string{"one", "two", "three"} {
		s.addRecording(name, i+1)
	}
	return s
}

func TestAdd_PassesEachResultToTheNextPlugin(t *testing.T) {
	s := newThree(t)
	result, err := s.runner().Add(t.Context(), newCall(t, threeChain))
	must(t, err)
	s.expectOrder("ADD one", "ADD two", "ADD three")
	if prev, ok := s.object("one.ADD")["prevResult"]; ok {
		t.Errorf("the first plugin got the prevResult %s", prev)
	}
	for i, name := range []string{"two.ADD", "three.ADD"} {
		want := fmt.Sprintf(`"10.0.0.%d/24"`, i+1)
		if prev := string(s.object(name)["prevResult"]); !strings.Contains(prev, want) {
			t.Errorf("%s got the prevResult %s, want one with %s", name, prev, want)
		}
	}
	if got := result.IPs[0].Address.String(); got != "10.0.0.3/24" {
		t.Errorf("the result has the address %s", got)
	}
}

func TestAdd_ConvertsResults(t *testing.T) {
	for name, c := range map[string]struct{ version, printed string }{
		"older":                 {"1.0.0", `{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.0.0.1/24"}]}`},
		"newer":                 {"0.3.1", `{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/24"}]}`},
		"of the oldest version": {"1.0.0", `{"cniVersion":"0.1.0","ip4":{"ip":"10.0.0.1/24"}}`},
		"without a version":     {"1.0.0", `{"ips":[{"address":"10.0.0.1/24"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripts(t)
			s.add("one", `echo '`+c.printed+`'`)
			s.addRecording("two", 2)
			call := newCall(t, `{"name": "green", "cniVersion": "`+c.version+`",
				"plugins": [{"type": "one"}, {"type": "two"}]}`)
			_, err := s.runner().Add(t.Context(), call)
			must(t, err)
			var prev struct{ CNIVersion string }
			prevResult := s.object("two.ADD")["prevResult"]
			if err := json.Unmarshal(prevResult, &prev); err != nil || prev.CNIVersion != c.version {
				t.Errorf("the next plugin got %s, %v; want version %s", prevResult, err, c.version)
			}
			if r, err := cniconf.ParseResult(prevResult); err != nil || r.IPs[0].Address.String() != "10.0.0.1/24" {
				t.Errorf("the next plugin got %s, %v", prevResult, err)
			}
			call.Config.Plugins = call.Config.Plugins[:1]
			result, err := s.runner().Add(t.Context(), call)
			if err != nil || result.IPs[0].Address.String() != "10.0.0.1/24" {
				t.Errorf("the result is %v, %v", result, err)
			}
		})
	}
}

func TestAdd_StopsAtAFailure(t *testing.T) {
	s := newThree(t)
	s.add("two", `exit 1`)
	result, err := s.runner().Add(t.Context(), newCall(t, threeChain))
	failed := asError(t, err)
	if failed.Plugin != "two" || failed.Operation != "ADD" || failed.Network != "green" || failed.IfName != "net1" {
		t.Errorf("%+v", failed)
	}
	if result == nil || result.IPs[0].Address.String() != "10.0.0.1/24" {
		t.Errorf("got the result %v, want that of the plugin before", result)
	}
	s.expectOrder("ADD one")
}

func TestDel_RunsInReverseWithTheRecordedResult(t *testing.T) {
	s := newThree(t)
	c := newCall(t, threeChain)
	c.Result = json.RawMessage(`{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.9/24"}],"of":"another plugin"}`)
	must(t, delErr(s.runner().Del(t.Context(), c)))
	s.expectOrder("DEL three", "DEL two", "DEL one")
	for _, name := range []string{"one.DEL", "two.DEL", "three.DEL"} {
		if got := string(s.object(name)["prevResult"]); got != string(c.Result) {
			t.Errorf("%s got the prevResult %s, want %s", name, got, c.Result)
		}
	}
}

func TestDel_WithoutPrevResult(t *testing.T) {
	for name, c := range map[string]struct{ version, result string }{
		"before version 0.4.0":  {"0.3.1", `{"cniVersion":"0.3.1"}`},
		"of an unknown version": {"not a version", `{"cniVersion":"1.0.0"}`},
		"no recorded result":    {"1.0.0", ``},
	} {
		t.Run(name, func(t *testing.T) {
			s := newThree(t)
			call := newCall(t, onePlugin)
			call.Config.CNIVersion, call.Result = c.version, json.RawMessage(c.result)
			must(t, delErr(s.runner().Del(t.Context(), call)))
			stdin := s.object("one.DEL")
			if prev, ok := stdin["prevResult"]; ok {
				t.Errorf("got the prevResult %s", prev)
			}
			if got, want := string(stdin["cniVersion"]), `"`+c.version+`"`; got != want {
				t.Errorf("cniVersion is %s, want %s", got, want)
			}
		})
	}
	t.Run("since version 0.4.0 there is one", func(t *testing.T) {
		s := newThree(t)
		c := newCall(t, `{"type": "one", "cniVersion": "0.4.0"}`)
		c.Result = json.RawMessage(`{"cniVersion":"0.4.0"}`)
		must(t, delErr(s.runner().Del(t.Context(), c)))
		if got := string(s.object("one.DEL")["prevResult"]); got != string(c.Result) {
			t.Errorf("got the prevResult %q", got)
		}
	})
}

func TestDel_Failures(t *testing.T) {
	t.Run("stops at a plugin that is missing", func(t *testing.T) {
		s := newScripts(t)
		s.addRecording("one", 1)
		s.addRecording("three", 3)
		tornDown, err := s.runner().Del(t.Context(), newCall(t, threeChain))
		if !errors.Is(err, ErrMissing) || asError(t, err).Plugin != "two" {
			t.Errorf("got %v", err)
		}
		expectTornDown(t, tornDown, 2)
		s.expectOrder("DEL three")
	})
	t.Run("leaves out the plugins whose DEL has succeeded", func(t *testing.T) {
		s := newThree(t)
		call := newCall(t, threeChain)
		call.TornDown = []int{2}
		tornDown, err := s.runner().Del(t.Context(), call)
		must(t, err)
		expectTornDown(t, tornDown, 2, 1, 0)
		s.expectOrder("DEL two", "DEL one")
	})
	t.Run("of a delegate that is given up, tries every plugin", func(t *testing.T) {
		s := newThree(t)
		s.add("three", `exit 1`)
		must(t, os.Remove(s.path("one")))
		tornDown, err := s.runner().DelEach(t.Context(), newCall(t, threeChain))
		if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "plugin three: exit status 1") {
			t.Errorf("got %v", err)
		}
		expectTornDown(t, tornDown, 1)
		s.expectOrder("DEL two")
	})
	t.Run("stops at a plugin that fails", func(t *testing.T) {
		s := newThree(t)
		s.add("two", `exit 1`)
		err := delErr(s.runner().Del(t.Context(), newCall(t, threeChain)))
		failed := asError(t, err)
		if failed.Plugin != "two" || failed.Operation != "DEL" || errors.Is(err, ErrMissing) {
			t.Errorf("got %+v", failed)
		}
		s.expectOrder("DEL three")
	})
	t.Run("without a namespace, passes over plugins that work inside it alone", func(t *testing.T) {
		s := newScripts(t)
		s.addRecording("one", 1)
		s.add("sbr", `echo DEL sbr >>order; exit 1`)
		c := newCall(t, `{"plugins": [{"type": "one"}, {"type": "sbr"}]}`)
		if _, err := s.runner().Del(t.Context(), c); err == nil {
			t.Error("with a namespace, no error")
		}
		s.expectOrder("DEL sbr")
		c.Netns = ""
		tornDown, err := s.runner().Del(t.Context(), c)
		must(t, err)
		expectTornDown(t, tornDown, 1, 0)
		s.expectOrder("DEL sbr", "DEL one")
	})
}

func TestCheck(t *testing.T) {
	t.Run("runs in order with the recorded result", func(t *testing.T) {
		s := newThree(t)
		c := newCall(t, threeChain)
		c.Result = json.RawMessage(`{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.9/24"}]}`)
		must(t, s.runner().Check(t.Context(), c))
		s.expectOrder("CHECK one", "CHECK two", "CHECK three")
		for _, name := range []string{"one.CHECK", "two.CHECK", "three.CHECK"} {
			if got := string(s.object(name)["prevResult"]); got != string(c.Result) {
				t.Errorf("%s got the prevResult %s, want %s", name, got, c.Result)
			}
		}
	})
	t.Run("stops at a failure", func(t *testing.T) {
		s := newThree(t)
		s.add("two", `echo '{"code": 42, "msg": "the route is gone"}'; exit 1`)
		failed := asError(t, s.runner().Check(t.Context(), newCall(t, threeChain)))
		if failed.Operation != "CHECK" || failed.Plugin != "two" || failed.Code != 42 {
			t.Errorf("%+v", failed)
		}
		s.expectOrder("CHECK one")
	})
}

func TestStdin_RuntimeConfig(t *testing.T) {
	s := newThree(t)
	c := newCall(t, `{"name": "green", "plugins": [
		{"type": "one", "capabilities": {"mac": true, "ips": false, "dns": true}},
		{"type": "two", "capabilities": {"ips": true, "mac": true}},
		{"type": "three"}]}`)
	c.RuntimeConfig = map[string]json.RawMessage{
		"mac":          json.RawMessage(`"0a:00:00:00:00:01"`),
		"ips":          json.RawMessage(`["10.0.0.1/24"]`),
		"portMappings": json.RawMessage(`[]`),
	}
	_, err := s.runner().Add(t.Context(), c)
	must(t, err)
	must(t, delErr(s.runner().Del(t.Context(), c)))
	for name, want := range map[string]string{
		"one":   `{"mac":"0a:00:00:00:00:01"}`,
		"two":   `{"ips":["10.0.0.1/24"],"mac":"0a:00:00:00:00:01"}`,
		"three": ``,
	} {
		for _, operation := range []string{"ADD", "DEL"} {
			if got := string(s.object(name + "." + operation)["runtimeConfig"]); got != want {
				t.Errorf("%s of %s got %s, want %s", operation, name, got, want)
			}
		}
	}
}

func TestStdin_NameAndVersionOfTheChain(t *testing.T) {
	s := newThree(t)
	_, err := s.runner().Add(t.Context(), newCall(t, `{"name": "green", "cniVersion": "0.4.0", "plugins": [
		{"type": "one", "name": "other", "cniVersion": "0.1.0", "mtu": 9007199254740993}]}`))
	must(t, err)
	stdin := s.object("one.ADD")
	for key, want := range map[string]string{
		"name": `"green"`, "cniVersion": `"0.4.0"`, "mtu": `9007199254740993`, "type": `"one"`,
	} {
		if got := string(stdin[key]); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("KUBECONFIG", "/root/secret")
	s := newScripts(t)
	s.add("one", `tr '\0' '\n' </proc/$$/environ >env; echo '{"cniVersion":"1.0.0"}'`)
	r := s.runner("/opt/cni/bin")
	r.Env = []string{"PATH=/usr/bin:/bin", "_CNI_LOGGING_LEVEL=3", "_CNI_LOGGING_FILE=/var/log/kactus.log"}
	_, err := r.Add(t.Context(), newCall(t, onePlugin))
	must(t, err)
	want := strings.Join([]string{
		"CNI_COMMAND=ADD",
		"CNI_CONTAINERID=c1",
		"CNI_NETNS=/run/netns/a",
		"CNI_IFNAME=net1",
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=app",
		"CNI_PATH=" + s.dir + ":/opt/cni/bin",
		"PATH=/usr/bin:/bin",
		"_CNI_LOGGING_LEVEL=3",
		"_CNI_LOGGING_FILE=/var/log/kactus.log",
	}, "\n")
	if got := s.read("env"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func expectTornDown(t *testing.T, got []int, want ...int) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("torn down: %v, want %v", got, want)
	}
}

// delErr returns the error of a DEL alone.
func delErr(_ []int, err error) error { return err }
