package delegate

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/containernetworking/cni/pkg/version"
)

// prints stands in for a plugin's process that ended well: it printed that.
type prints []byte

func (p prints) ExecPlugin(context.Context, string, []byte, []string) ([]byte, error) { return p, nil }

func (p prints) FindInPath(string, []string) (string, error) {
	return "", errors.New("nothing is looked for")
}

func (p prints) Decode([]byte) (version.PluginInfo, error) {
	return nil, errors.New("no version is asked for")
}

// FuzzResult: whatever a plugin prints as its result, in whatever version, ends in an error or in a result of the chain's version, which can be
// recorded, and which the plugin's DEL and the next plugin of the chain are given again. So does a record that holds what the plugin printed.
func FuzzResult(f *testing.F) {
	versions := version.All.SupportedVersions()
	for i := range versions {
		for _, seed := range []string{
			``, `null`, `{}`, `[]`, `"`, `{"cniVersion":null}`, `{"cniVersion":"1.0.0","interfaces":null,"ips":[{"address":"10.0.0.2/24","interface":9}]}`,
			`{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24","gateway":"10.0.0.1","routes":[{"dst":"0.0.0.0/0"}]},"ip6":{"ip":"fd00::2/64"},"dns":{"nameservers":["10.0.0.1"]}}`,
			`{"cniVersion":"0.3.1","interfaces":[{"name":"net1","mac":"0a:00:00:00:00:01","sandbox":"/n"}],"ips":[{"version":"4","interface":0,"address":"10.0.0.2/24"}],"routes":[{"dst":"::/0"}]}`,
			`{"cniVersion":"1.1.0","interfaces":[{"name":"net1","mtu":1500,"socketPath":"/s","pciID":"p"}],"ips":[{"address":"fd00::2/64"}],"routes":[{"dst":"0.0.0.0/0","mtu":9,"table":1,"scope":0}]}`,
			`{"cniVersion":"1.0.0","ips":[{}]}`, `{"cniVersion":"1.0.0","ips":[null],"interfaces":[null],"routes":[null]}`, `{"cniVersion":"0.1.0","ip4":null}`,
		} {
			f.Add([]byte(seed), byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, stdout []byte, v byte) {
		c := callOf(t, `{"type": "one"}`)
		c.Config.CNIVersion = versions[int(v)%len(versions)]
		stdin, err := c.stdin(c.Config.Plugins[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Result = stdout
		if keys, err := c.prevResult(); err == nil && len(keys) > 0 && !json.Valid(keys[keyPrevResult]) {
			t.Errorf("a DEL is given the result %s", keys[keyPrevResult])
		}
		result, err := c.result(t.Context(), "/one", stdin, nil, prints(stdout))
		if err != nil {
			return
		}
		if result.Version() != c.Config.CNIVersion {
			t.Errorf("the result has the version %q, where the chain has %q", result.Version(), c.Config.CNIVersion)
		}
		if c.Result, err = json.Marshal(result); err != nil {
			t.Fatalf("it cannot be recorded: %v", err)
		}
		if _, err := c.prevResult(); err != nil {
			t.Errorf("what was recorded, %s, cannot be given to a DEL: %v", c.Result, err)
		}
	})
}

// FuzzFailure: whatever a plugin that fails prints, its error has a message, and is bounded.
func FuzzFailure(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `{"code":11,"msg":"no address left","details":"none"}`, `{"code":-1}`, `{"code":1e99}`, `{"msg":null,"code":7}`, `{"CODE":7,"Msg":"a"}`, "\x00\xff",
	} {
		f.Add([]byte(seed), []byte("why"))
	}
	f.Fuzz(func(t *testing.T, out, words []byte) {
		stdout, stderr := capped{max: maxStdout}, capped{max: maxStderr}
		for _, written := range []struct {
			to   *capped
			data []byte
		}{{&stdout, out}, {&stderr, words}} {
			if n, err := written.to.Write(written.data); n != len(written.data) || err != nil {
				t.Fatalf("the plugin is told that it wrote %d bytes of %d, and %v", n, len(written.data), err)
			}
		}
		c := callOf(t, `{"type": "one"}`)
		failed := fail("ADD", c, c.Config.Plugins[0], newExit(errors.New("exit status 1"), stdout, stderr))
		// What is quoted of garbage can take several bytes for each of its own.
		if said := failed.Error(); said == "" || len(said) > 2*maxStderr || len(failed.Words()) > 3*maxStderr {
			t.Errorf("the error has %d bytes, and %d beside", len(said), len(failed.Words()))
		}
	})
}
