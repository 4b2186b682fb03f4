package netconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// reader takes the keys of a JSON object one by one, and goes on past what is wrong.
type reader struct {
	object         map[string]json.RawMessage
	taken          []string
	problems       []string
	unknownVersion bool
}

func readObject(data []byte) (map[string]json.RawMessage, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("it has more than %d bytes", MaxSize)
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return nil, errors.New("it is empty")
	}
	if err := strictjson.Check(data); err != nil {
		return nil, fmt.Errorf("it does not parse: %w", err)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil || object == nil {
		return nil, errors.New("it is not a JSON object")
	}
	return object, nil
}

func (r *reader) fail(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *reader) take(key string) (json.RawMessage, bool) {
	r.taken = append(r.taken, key)
	raw, ok := r.object[key]
	return raw, ok
}

func (r *reader) decode(key, kind string, into any) {
	raw, ok := r.take(key)
	if ok && (string(raw) == "null" || json.Unmarshal(raw, into) != nil) {
		r.fail("%s: not %s", key, kind)
	}
}

// text is the string under key; otherwise, where there is none or an empty one.
func (r *reader) text(key, otherwise string) string {
	var text string
	r.decode(key, "a string", &text)
	if text == "" {
		return otherwise
	}
	return text
}

func (r *reader) boolean(key string) bool {
	var b bool
	r.decode(key, "true or false", &b)
	return b
}

// standardKeys may stand in any netconf: the CNI specification (section 1) and its conventions define them, and
// runtimes add some. kactus has no use for them.
var standardKeys = []string{"args", "capabilities", "dns", "ipMasq", "ipam"}

func (r *reader) unknownKeys() {
	var unknown []string
	for key := range r.object {
		if !slices.Contains(r.taken, key) && !slices.Contains(standardKeys, key) && !strings.HasPrefix(key, "cni.dev/") {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	for _, key := range unknown {
		r.fail("%.64s: kactus has no such key", key)
	}
}
