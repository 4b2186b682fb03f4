package netconf

import (
	"errors"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
)

func TestParse_Delegates(t *testing.T) {
	tests := []struct {
		name, delegates string
		ok              func(Conf) bool
	}{
		{"the master delegate has the netconf's name and version", `[{"type": "ptp", "masterPlugin": true}]`,
			func(c Conf) bool {
				return c.Master.Name == "kactus-net" && c.Master.CNIVersion == "1.0.0" &&
					c.Master.Plugins[0].Type == "ptp"
			}},
		{"the master delegate can have a name of its own", `[{"type": "ptp", "name": "own", "masterPlugin": true}]`,
			func(c Conf) bool { return c.Master.Name == "own" }},
		{"masterPlugin does not reach the plugin", `[{"type": "ptp", "masterPlugin": true}]`, func(c Conf) bool {
			stdin, err := c.Master.Plugins[0].Stdin(nil)
			return err == nil && string(stdin) == `{"type":"ptp"}`
		}},
		{"a configuration list", `[{"masterPlugin": true, "plugins": [{"type": "ptp"}, {"type": "portmap"}]}]`,
			func(c Conf) bool { return len(c.Master.Plugins) == 2 && c.Master.Plugins[1].Type == "portmap" }},
		{"the others keep their order",
			`[{"type": "a", "name": "blue"}, {"type": "ptp", "masterPlugin": true},
				{"type": "b", "name": "green", "masterPlugin": false}]`,
			func(c Conf) bool {
				return len(c.Auxiliary) == 2 && c.Auxiliary[0].Name == "blue" && c.Auxiliary[1].Name == "green"
			}},
		{"a list with keys of the tool that wrote it",
			`[{"masterPlugin": true, "toolID": "17f29b07", "toolLabels": {"example.com/x": "true"},
				"plugins": [{"type": "bridge", "toolKey": 1}, {"type": "tuning"}]}]`,
			func(c Conf) bool { return len(c.Master.Plugins) == 2 }},
		{"a delegate of cniconf.MaxSize", `[` + delegateOf(cniconf.MaxSize) + `]`,
			func(c Conf) bool { return c.Master.Plugins[0].Type == "ptp" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conf, err := Parse(netconfWith(`"delegates": ` + tt.delegates))
			if err != nil {
				t.Fatal(err)
			}
			if !tt.ok(conf) {
				t.Errorf("got %+v", conf)
			}
		})
	}
}

func TestParse_DelegateErrors(t *testing.T) {
	const (
		master   = `{"type": "ptp", "masterPlugin": true}`
		noMaster = `delegates: exactly one must have "masterPlugin": true`
	)
	tests := []struct{ name, delegates, want string }{
		{"no delegates", `[]`, noMaster},
		{"an object", `{}`, "delegates: must be an array"},
		{"null", `null`, "delegates: must be an array"},
		{"no master delegate", `[{"type": "ptp", "name": "a"}]`, noMaster},
		{"two master delegates", `[` + master + `, ` + master + `]`,
			"delegates[1]: masterPlugin: delegates[0] already is the master delegate"},
		{"masterPlugin in quotes", `[{"type": "ptp", "masterPlugin": "true"}]`,
			"delegates[0]: masterPlugin: must be true or false"},
		{"masterPlugin in another case",
			`[` + master + `, {"name": "a", "masterplugin": true, "plugins": [{"type": "b"}]}]`,
			`delegates[1]: masterPlugin: spelled "masterplugin"`},
		{"an auxiliary delegate without a name", `[` + master + `, {"type": "bridge"}]`,
			"delegates[1]: name: missing, and only the master delegate has a default"},
		{"a string", `["ptp"]`, "delegates[0]: must be a JSON object"},
		{"an element that is null", `[null]`, "delegates[0]: must be a JSON object"},
		{"no type", `[{"masterPlugin": true}]`, "delegates[0]: type: "},
		{"kactus itself", `[{"type": "kactus", "masterPlugin": true}]`, "delegates[0]: type: "},
		{"a path", `[{"type": "/bin/sh", "masterPlugin": true}]`, "delegates[0]: type: "},
		{"a path in a configuration list", `[{"masterPlugin": true, "plugins": [{"type": "ptp"}, {"type": ".."}]}]`,
			"delegates[0]: plugins[1].type: "},
		{"two delegates with one device name",
			`[` + master + `, {"type": "a", "name": "n-009b5fbe0257"}, {"type": "a", "name": "n-ee6b99c6809e"}]`,
			"delegates[2]: name: the delegates n-009b5fbe0257 and n-ee6b99c6809e " +
				"have the same device name, netc78e9611f93e"},
		{"more bytes than cniconf.MaxSize", `[` + delegateOf(cniconf.MaxSize+1) + `]`,
			"delegates[0]: 1048577 bytes, limit is 1048576"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expectProblem(t, netconfWith(`"delegates": `+tt.delegates), tt.want) })
	}
	t.Run("an invalid name of the netconf is not a problem of the delegates", func(t *testing.T) {
		_, err := Parse(netconfWith(`"name": "a/b"`))
		var invalid *Error
		if !errors.As(err, &invalid) || len(invalid.Problems) != 1 {
			t.Errorf("got %v", err)
		}
	})
}

// delegateOf returns the configuration of a master delegate of that many bytes.
func delegateOf(size int) string {
	const head, tail = `{"masterPlugin":true,"type":"ptp","x":"`, `"}`
	return head + strings.Repeat("a", size-len(head)-len(tail)) + tail
}
