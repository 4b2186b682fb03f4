package delegate

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

// printed is an invoke.Exec whose plugin succeeded and printed that.
type printed []byte

func (p printed) ExecPlugin(context.Context, string, []byte, []string) ([]byte, error) { return p, nil }

func (p printed) FindInPath(string, []string) (string, error) { return "", errors.New("not used") }

func (p printed) Decode([]byte) (version.PluginInfo, error) { return nil, errors.New("not used") }

// FuzzResult checks that whatever a plugin prints as its result, in whatever version, ends in an
// error or in a result that can be recorded in the version of the chain, read again, and passed to
// the plugin's DEL.
func FuzzResult(f *testing.F) {
	versions := version.All.SupportedVersions()
	for i := range versions {
		for _, seed := range []string{
			``, `null`, `{}`, `[]`, `"`, `{"cniVersion":null}`,
			`{"cniVersion":"1.0.0","interfaces":null,"ips":[{"address":"10.0.0.2/24","interface":9}]}`,
			`{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24","gateway":"10.0.0.1","routes":[{"dst":"0.0.0.0/0"}]},
				"ip6":{"ip":"fd00::2/64"},"dns":{"nameservers":["10.0.0.1"]}}`,
			`{"cniVersion":"0.3.1","interfaces":[{"name":"net1","mac":"0a:00:00:00:00:01","sandbox":"/n"}],
				"ips":[{"version":"4","interface":0,"address":"10.0.0.2/24"}],"routes":[{"dst":"::/0"}]}`,
			`{"cniVersion":"1.1.0","interfaces":[{"name":"net1","mtu":1500,"socketPath":"/s","pciID":"p"}],
				"ips":[{"address":"fd00::2/64"}],"routes":[{"dst":"0.0.0.0/0","mtu":9,"table":1,"scope":0}]}`,
			`{"cniVersion":"1.0.0","ips":[{}]}`,
			`{"cniVersion":"1.0.0","ips":[null],"interfaces":[null],"routes":[null]}`,
			`{"cniVersion":"0.1.0","ip4":null}`,
		} {
			f.Add([]byte(seed), byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, stdout []byte, v byte) {
		c := newCall(t, onePlugin)
		c.Config.CNIVersion = versions[int(v)%len(versions)]
		stdin, err := c.stdin(c.Config.Plugins[0], nil)
		must(t, err)
		decoded, err := invoke.ExecPluginWithResult(t.Context(), "/one", stdin, environment{}, printed(stdout))
		if err != nil {
			return
		}
		result, err := cniconf.NewResult(decoded)
		if err != nil {
			return
		}
		if c.Result, err = cniconf.EncodeResult(result, c.Config.CNIVersion); err != nil {
			return
		}
		var head struct{ CNIVersion string }
		if err := json.Unmarshal(c.Result, &head); err != nil || head.CNIVersion != c.Config.CNIVersion {
			t.Errorf("the result %s has the version %q, the chain %q", c.Result, head.CNIVersion, c.Config.CNIVersion)
		}
		if _, err := cniconf.ParseResult(c.Result); err != nil {
			t.Errorf("the recorded result %s cannot be read: %v", c.Result, err)
		}
		if _, err := c.stdin(c.Config.Plugins[0], c.prevResult()); err != nil {
			t.Errorf("the recorded result %s cannot be passed to a DEL: %v", c.Result, err)
		}
	})
}

// FuzzFailure checks that whatever a plugin that fails prints, its error has a message, and is
// bounded.
func FuzzFailure(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `{"code":11,"msg":"no address left","details":"none"}`, `{"code":-1}`,
		`{"code":1e99}`, `{"msg":null,"code":7}`, `{"CODE":7,"Msg":"a"}`, "\x00\xff",
	} {
		f.Add([]byte(seed), []byte("why"))
	}
	f.Fuzz(func(t *testing.T, out, words []byte) {
		stdout, stderr := capped{max: maxStdout}, capped{max: maxQuoted}
		for _, written := range []struct {
			to   *capped
			data []byte
		}{{&stdout, out}, {&stderr, words}} {
			if n, err := written.to.Write(written.data); n != len(written.data) || err != nil {
				t.Fatalf("%d bytes of %d were written: %v", n, len(written.data), err)
			}
		}
		c := newCall(t, onePlugin)
		failed := newError("ADD", c, c.Config.Plugins[0], newExitError(errors.New("exit status 1"), stdout, stderr))
		// What is quoted of garbage can take several bytes for each of its own.
		if text := failed.Error(); text == "" || len(text) > 2*maxQuoted || len(failed.Words()) > 3*maxQuoted {
			t.Errorf("the error has %d bytes, and %d in Words", len(text), len(failed.Words()))
		}
	})
}
