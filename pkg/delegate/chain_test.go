package delegate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// recording is a script that notes its verb and stdin, and prints a result with the address 10.0.0.n/24.
func recording(pluginType string, n int) string {
	return fmt.Sprintf(`echo $CNI_COMMAND %[1]s >>order; cat >%[1]s.$CNI_COMMAND
[ $CNI_COMMAND = DEL ] || echo '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.%[2]d/24"}]}'`, pluginType, n)
}

const threeInAChain = `{"name": "green", "plugins": [{"type": "one"}, {"type": "two"}, {"type": "three"}]}`

func TestAChainsAddRunsInOrderAndGivesEachTheResultOfTheOneBefore(t *testing.T) {
	f := newFolder(t)
	for i, name := range []string{"one", "two", "three"} {
		f.plugin(name, recording(name, i+1))
	}
	result, err := f.runner().Add(t.Context(), callOf(t, threeInAChain))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.read("order"); got != "ADD one\nADD two\nADD three" {
		t.Errorf("order:\n%s", got)
	}
	if _, has := f.object("one.ADD")["prevResult"]; has {
		t.Error("the first has no one before it, and got a prevResult")
	}
	for i, name := range []string{"two.ADD", "three.ADD"} {
		if prev := string(f.object(name)["prevResult"]); !strings.Contains(prev, fmt.Sprintf("10.0.0.%d/24", i+1)) {
			t.Errorf("%s got the prevResult %s", name, prev)
		}
	}
	if got := result.(*types100.Result).IPs[0].Address.String(); got != "10.0.0.3/24" {
		t.Errorf("the result is that of %s", got)
	}
}

func TestAChainsDelRunsInReverseAndGivesEachTheResultOfTheAdd(t *testing.T) {
	f := newFolder(t)
	for i, name := range []string{"one", "two", "three"} {
		f.plugin(name, recording(name, i+1))
	}
	c := callOf(t, threeInAChain)
	c.Result = json.RawMessage(`{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.0.0.9/24"}]}`)
	if err := f.runner().Del(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := f.read("order"); got != "DEL three\nDEL two\nDEL one" {
		t.Errorf("order:\n%s", got)
	}
	for _, name := range []string{"one.DEL", "two.DEL", "three.DEL"} {
		result, err := types100.NewResult(f.object(name)["prevResult"])
		if err != nil || result.(*types100.Result).CNIVersion != "1.0.0" || result.(*types100.Result).IPs[0].Address.String() != "10.0.0.9/24" {
			t.Errorf("%s got the prevResult %v, %v", name, result, err)
		}
	}
}

func TestADelHasNoPrevResultWhereTheVersionKnowsNone(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", recording("one", 1))
	c := callOf(t, `{"type": "one", "cniVersion": "0.3.1"}`)
	c.Result = json.RawMessage(`{"cniVersion":"0.3.1"}`)
	if err := f.runner().Del(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if stdin := f.object("one.DEL"); stdin["prevResult"] != nil || string(stdin["cniVersion"]) != `"0.3.1"` {
		t.Errorf("stdin: %s", f.read("one.DEL"))
	}
}

func TestADelWithoutARecordedResultRuns(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", recording("one", 1))
	if err := f.runner().Del(t.Context(), callOf(t, `{"type": "one"}`)); err != nil {
		t.Fatal(err)
	}
	if _, has := f.object("one.DEL")["prevResult"]; has {
		t.Error("a prevResult of nothing")
	}
}

func TestAnAddEndsAtThePluginThatFails(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", recording("one", 1))
	f.plugin("two", `exit 1`)
	f.plugin("three", recording("three", 3))
	_, err := f.runner().Add(t.Context(), callOf(t, threeInAChain))
	failed := failure(t, err)
	if failed.Plugin != "two" || failed.Verb != "ADD" || failed.Network != "green" || failed.Device != "net1" {
		t.Errorf("%+v", failed)
	}
	if got := f.read("order"); got != "ADD one" {
		t.Errorf("order:\n%s", got)
	}
}

func TestADelGoesOnPastAMissingPlugin(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", recording("one", 1))
	f.plugin("three", recording("three", 3))
	err := f.runner().Del(t.Context(), callOf(t, threeInAChain))
	if !errors.Is(err, ErrMissing) || failure(t, err).Plugin != "two" {
		t.Errorf("got %v", err)
	}
	if got := f.read("order"); got != "DEL three\nDEL one" {
		t.Errorf("order:\n%s", got)
	}
}

func TestADelHaltsAtAFailingPlugin(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", recording("one", 1))
	f.plugin("two", `exit 1`)
	f.plugin("three", recording("three", 3))
	err := f.runner().Del(t.Context(), callOf(t, threeInAChain))
	if failed := failure(t, err); failed.Plugin != "two" || failed.Verb != "DEL" || errors.Is(err, ErrMissing) {
		t.Errorf("got %+v", failed)
	}
	if got := f.read("order"); got != "DEL three" {
		t.Errorf("order:\n%s", got)
	}
}

func TestEachPluginGetsTheRuntimeConfigThatItDeclares(t *testing.T) {
	f := newFolder(t)
	for i, name := range []string{"one", "two", "three"} {
		f.plugin(name, recording(name, i+1))
	}
	c := callOf(t, `{"name": "green", "plugins": [
		{"type": "one", "capabilities": {"mac": true, "ips": false, "dns": true}},
		{"type": "two", "capabilities": {"ips": true, "mac": true}},
		{"type": "three"}]}`)
	c.RuntimeConfig = map[string]json.RawMessage{
		"mac": json.RawMessage(`"0a:00:00:00:00:01"`), "ips": json.RawMessage(`["10.0.0.1/24"]`), "portMappings": json.RawMessage(`[]`),
	}
	if _, err := f.runner().Add(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := f.runner().Del(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"one":   `{"mac":"0a:00:00:00:00:01"}`,
		"two":   `{"ips":["10.0.0.1/24"],"mac":"0a:00:00:00:00:01"}`,
		"three": ``,
	} {
		for _, verb := range []string{"ADD", "DEL"} {
			if got := string(f.object(name + "." + verb)["runtimeConfig"]); got != want {
				t.Errorf("%s of %s got %s, want %s", verb, name, got, want)
			}
		}
	}
}

func TestAPluginReadsItsConfigurationWithTheChainsNameAndVersion(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", recording("one", 1))
	c := callOf(t, `{"name": "green", "cniVersion": "0.4.0", "plugins": [{"type": "one", "name": "other", "cniVersion": "0.1.0", "mtu": 9007199254740993}]}`)
	if _, err := f.runner().Add(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stdin := f.object("one.ADD")
	for key, want := range map[string]string{"name": `"green"`, "cniVersion": `"0.4.0"`, "mtu": `9007199254740993`, "type": `"one"`} {
		if got := string(stdin[key]); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
}

func TestAPluginsEnvironmentIsTheCNIVariablesAndTheRunnersAlone(t *testing.T) {
	t.Setenv("KUBECONFIG", "/root/secret")
	f := newFolder(t)
	f.plugin("one", `tr '\0' '\n' </proc/$$/environ >env; echo '{"cniVersion":"1.0.0"}'`)
	r := f.runner()
	r.Env = []string{"PATH=/usr/bin:/bin", "_CNI_LOGGING_LEVEL=3", "_CNI_LOGGING_FILE=/var/log/kactus.log"}
	if _, err := r.Add(t.Context(), callOf(t, `{"type": "one"}`)); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"CNI_COMMAND=ADD",
		"CNI_CONTAINERID=c1",
		"CNI_NETNS=/run/netns/a",
		"CNI_IFNAME=net1",
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=app",
		"CNI_PATH=" + f.dir + string(os.PathListSeparator) + pluginDir,
		"PATH=/usr/bin:/bin",
		"_CNI_LOGGING_LEVEL=3",
		"_CNI_LOGGING_FILE=/var/log/kactus.log",
	}, "\n")
	if got := f.read("env"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
