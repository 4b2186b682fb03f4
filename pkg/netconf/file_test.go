package netconf

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const fileDelegates = `"delegates": [{"type": "ptp", "masterPlugin": true}]`

func TestParseFile(t *testing.T) {
	const self = `{"type": "kactus", ` + fileDelegates + `}`
	for name, tt := range map[string]struct {
		file, network, version string
	}{
		"a netconf": {`{"cniVersion": "1.0.0", "name": "n", "type": "kactus", ` + fileDelegates + `}`, "n", "1.0.0"},
		"a list": {`{"cniVersion": "0.4.0", "name": "n", "plugins": [` + self + `, {"type": "istio-cni"}]}`,
			"n", "0.4.0"},
		"behind another plugin": {`{"cniVersion": "0.4.0", "name": "n", "plugins": [{"type": "x"}, ` + self + `]}`,
			"n", "0.4.0"},
		"the list's name and version count": {`{"cniVersion": "0.4.0", "name": "n", "plugins": [
			{"name": "other", "cniVersion": "1.0.0", "type": "kactus", ` + fileDelegates + `}]}`, "n", "0.4.0"},
		"a list with keys of the program that wrote it": {
			`{"cniVersion": "0.4.0", "name": "n", "disableCheck": "true", "x": 1, "plugins": [` + self + `]}`,
			"n", "0.4.0"},
		"the highest of several versions": {
			`{"cniVersions": ["0.4.0", "9.0.0", "1.0.0"], "name": "n", "plugins": [` + self + `]}`, "n", "1.0.0"},
		"or the single one": {
			`{"cniVersions": ["0.4.0"], "cniVersion": "1.1.0", "name": "n", "plugins": [` + self + `]}`, "n", "1.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			conf, err := ParseFile([]byte(tt.file))
			if err != nil || conf.Name != tt.network || conf.CNIVersion != tt.version || len(conf.Master.Plugins) != 1 {
				t.Errorf("got %+v, %v", conf, err)
			}
		})
	}
}

func TestParseFile_Errors(t *testing.T) {
	for file, want := range map[string][]string{
		`{"name": "n", "type": "kactus"}`:                                           {"delegates"},
		`{"name": "n", "plugins": []}`:                                              {"plugins:"},
		`{"name": "n", "plugins": {}}`:                                              {"plugins:"},
		`{"name": "n", "plugins": ["kactus"]}`:                                      {"plugins:"},
		`{"name": "n", "plugins": [{"type": "ptp"}]}`:                               {"0 times"},
		`{"name": "n", "plugins": [{"type": "kactus"}, {"type": "kactus"}]}`:        {"2 times"},
		`{"name": "n", "plugins": [{"type": "kactus", ` + fileDelegates + `}, {}]}`: {"plugins[1].type"},
		`{"plugins": [{"type": "kactus", ` + fileDelegates + `}]}`:                  {"name"},
		`{"name": "n", "cniVersion": "9", "plugins": [{"type": "kactus"}]}`:         {"cniVersion"},
		`{"name": "n", "cniVersions": ["9"], "plugins": [{"type": "kactus"}]}`:      {"cniVersions"},
		`{"name": "n", "cniVersions": "1", "plugins": [{"type": "kactus"}]}`:        {"cniVersions"},
		`{"name": "n", "plugins": [{"type": "x"}, {"type": "kactus", "cniDir": "x", "typo": 1}]}`: {
			"plugins[1].cniDir", "plugins[1].typo", "plugins[1].delegates"},
		`{"name": "n", "plugins": [{"type": "kactus", "type": "kactus"}]}`: {"type"},
		`[]`: {"object"},
	} {
		_, err := ParseFile([]byte(file))
		var invalid *Error
		if !errors.As(err, &invalid) {
			t.Errorf("%s: got %v", file, err)
			continue
		}
		for _, word := range want {
			if !slices.ContainsFunc(invalid.Problems, func(p string) bool { return strings.Contains(p, word) }) {
				t.Errorf("%s: got %q, want a problem with %q", file, invalid.Problems, word)
			}
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		ok            bool
	}{
		{"a.conf", "{}", true}, {"a.conflist", `{"plugins": []}`, true}, {"stdin", `{"plugins": []}`, true},
		{"stdin", "{}", true}, {"a.conflist", "{}", false}, {"a.conf", `{"plugins": []}`, false},
		{"a.json", `{"plugins": []}`, false},
	} {
		if err := CheckName(tt.name, []byte(tt.content)); (err == nil) != tt.ok {
			t.Errorf("%s with %s: got %v", tt.name, tt.content, err)
		}
	}
}
