package netconf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// A parser takes the keys of a JSON object one by one and collects what is wrong with them.
type parser struct {
	object         map[string]json.RawMessage
	taken          []string
	problems       []string
	unknownVersion bool
}

func parseObject(data []byte) (map[string]json.RawMessage, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("larger than the limit of %d bytes", MaxSize)
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return nil, errors.New("must not be empty")
	}
	if err := strictjson.Check(data); err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		return nil, errors.New("must be a JSON object")
	}
	return object, nil
}

func (p *parser) fail(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

func (p *parser) take(key string) (raw json.RawMessage, ok bool) {
	p.taken = append(p.taken, key)
	raw, ok = p.object[key]
	return raw, ok
}

// decode decodes the value of key into v, and leaves v alone where the key is missing. It reports
// whether the value is of the kind; null never is.
func (p *parser) decode(key, kind string, v any) bool {
	raw, ok := p.take(key)
	if ok && (string(raw) == "null" || json.Unmarshal(raw, v) != nil) {
		p.fail("%s: must be %s", key, kind)
		return false
	}
	return true
}

// text returns the string value of key, or def where it is missing, empty or not a string.
func (p *parser) text(key, def string) (text string, ok bool) {
	ok = p.decode(key, "a string", &text)
	if text == "" {
		return def, ok
	}
	return text, ok
}

func (p *parser) boolean(key string) bool {
	var b bool
	p.decode(key, "true or false", &b)
	return b
}

// listBoolean returns the value of a key that configuration lists have too.
func (p *parser) listBoolean(key string) bool {
	raw, ok := p.take(key)
	if !ok {
		return false
	}
	b, err := cniconf.ParseBool(raw)
	if err != nil || string(raw) == "null" {
		p.fail("%s: must be true or false", key)
	}
	return b
}

// path returns the absolute path of key, def where the key is missing or empty, and "" where its
// value is not a path in its shortest form.
func (p *parser) path(key, def string) string {
	path, ok := p.text(key, def)
	if !ok {
		return ""
	}
	if path == "" || filepath.IsAbs(path) && filepath.Clean(path) == path && !strings.ContainsRune(path, 0) {
		return path
	}
	p.fail(`%s: %.128q must be an absolute path without "..", "//" or a trailing "/"`, key, path)
	return ""
}

func (p *parser) namespace(key, def string) string {
	namespace, _ := p.text(key, def)
	if err := network.ValidateNamespace(namespace); err != nil {
		p.fail("%s: %v", key, err)
		return def
	}
	return namespace
}

// namespaces returns a list of namespaces.
func (p *parser) namespaces(key string) []string {
	var all []string
	if !p.decode(key, "an array of strings", &all) {
		return nil
	}
	for i, namespace := range all {
		if err := network.ValidateNamespace(namespace); err != nil {
			p.fail("%s[%d]: %v", key, i, err)
		}
	}
	return all
}

func (p *parser) duration(key string, def time.Duration) time.Duration {
	text, _ := p.text(key, "")
	if text == "" {
		return def
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		p.fail("%s: %.64q must be a duration above zero, such as 30s", key, text)
		return def
	}
	return d
}

// number returns the number of key, from 1 to limit.
func (p *parser) number(key string, def, limit int) int {
	n := def
	if !p.decode(key, "a whole number", &n) {
		return def
	}
	if n < 1 || n > limit {
		p.fail("%s: %d must be between 1 and %d", key, n, limit)
		return def
	}
	return n
}

// pluginTypes returns a list of plugin types.
func (p *parser) pluginTypes(key string) []string {
	var types []string
	if !p.decode(key, "an array of strings", &types) {
		return nil
	}
	for i, pluginType := range types {
		if err := cniconf.ValidateType(pluginType); err != nil {
			p.fail("%s[%d]: %v", key, i, err)
		}
	}
	return types
}

// standardKeys may stand in any netconf: the CNI specification (section 1) and its conventions
// define them, and some runtimes add them. kactus does not use them.
var standardKeys = []string{"args", "capabilities", "dns", "ipMasq", "ipam"}

func (p *parser) rejectUnknownKeys() {
	var unknown []string
	for key := range p.object {
		known := slices.Contains(p.taken, key) || slices.Contains(standardKeys, key) ||
			strings.HasPrefix(key, "cni.dev/")
		if !known {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	for _, key := range unknown {
		p.fail("%.64s: unknown key, with the value %.64s", key, compact(p.object[key]))
	}
}

// compact returns the value without white space. The CNI specification wants the value of an
// unknown key in the error.
func compact(value json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		return ""
	}
	return b.String()
}
