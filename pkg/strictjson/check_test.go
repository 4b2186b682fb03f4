package strictjson

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

func arrays(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestCheck(t *testing.T) {
	objects := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	tests := []struct{ name, in, want string }{
		{"an object", `{"a": {"b": [1, {"c": null}]}}`, ""},
		{"one key in two objects", `[{"a": 1}, {"a": 2}]`, ""},
		{"a scalar", `"x"`, ""},
		{"white space around the value", " {}\n\t", ""},
		{"arrays nested to the limit", arrays(MaxDepth), ""},
		{"objects nested to the limit", objects(MaxDepth), ""},
		{"arrays nested deeper", arrays(MaxDepth + 1), strings.Repeat("[0]", MaxDepth) + ": nested more than 64 deep"},
		{"objects nested deeper", objects(MaxDepth + 1),
			strings.Repeat("a.", MaxDepth-1) + "a: nested more than 64 deep"},
		{"a key twice", `{"a": 1, "a": 2}`, "a: key occurs twice"},
		{"a key twice, deep inside", `{"a": [{}, {"type": 1, "type": 2}]}`, "a[1].type: key occurs twice"},
		{"keys that differ in case", `{"type": "a", "Type": "b"}`, `Type: key occurs twice, as "type" and as "Type"`},
		{"a k and the Kelvin sign", "{\"k\": 1, \"\u212a\": 2}",
			"\u212a: key occurs twice, as \"k\" and as \"\u212a\""},
		{"an s and the long s", "{\"s\": 1, \"\u017f\": 2}", "\u017f: key occurs twice, as \"s\" and as \"\u017f\""},
		{"an escaped key", `{"type": 1, "\u0074ype": 2}`, "type: key occurs twice"},
		{"a second value", `{} {}`, "invalid JSON: data follows the first value, which ends at byte 2"},
		{"a closing brace too many", `{}}`, "invalid JSON: data follows the first value, which ends at byte 2"},
		{"an object cut off", `{"a": 1`, "invalid JSON: unexpected end"},
		{"an object cut off in a key", `{"a`, "invalid JSON: unexpected end"},
		{"an array cut off", `[`, "invalid JSON: unexpected end"},
		{"a word cut off", `nul`, "invalid JSON: unexpected end"},
		{"the empty text", ``, "invalid JSON: unexpected end"},
		{"a bare word", `green`, `invalid JSON at byte 1, near "green"`},
		{"a comma too many", `{"a": [1,], "b": 2}`, `invalid JSON at byte 10, near "], \"b\": 2}"`},
		{"a key twice and invalid JSON", `{"a": 1, "a": 2} x`,
			"invalid JSON: data follows the first value, which ends at byte 16"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expectError(t, Check([]byte(tt.in)), tt.want) })
	}
}

func TestCheckSyntax(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"a key twice":    {`{"a": 1, "a": 2}`, ""},
		"a second value": {`[] x`, "invalid JSON: data follows the first value, which ends at byte 2"},
		"cut off":        {`[{"name"`, "invalid JSON: unexpected end"},
		"a bare word":    {`  green,blue,red,yellow`, `invalid JSON at byte 3, near "green,blue,red,y"`},
	} {
		t.Run(name, func(t *testing.T) { expectError(t, CheckSyntax([]byte(tt.in)), tt.want) })
	}
}

// Check must fold every pair of keys that encoding/json folds.
func TestCheck_FoldsCaseAsEncodingJSON(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if fold(string(r)) != fold(string(other)) {
				t.Errorf("%U and %U count as two keys, encoding/json takes one for the other", r, other)
			}
		}
	}
	for _, key := range []string{"type", "name", "ipam", "plugins", "cniVersion", "capabilities"} {
		for i := range key {
			next := unicode.SimpleFold(rune(key[i]))
			for _, r := range []rune{next, unicode.SimpleFold(next)} {
				other := key[:i] + string(r) + key[i+1:]
				if other == key {
					continue
				}
				if err := Check([]byte(`{"` + key + `": 1, "` + other + `": 2}`)); err == nil {
					t.Errorf("%s and %s count as two keys", key, other)
				}
			}
		}
	}
}

// FuzzCheck: what Check accepts is JSON, and its keys mean the same to a parser that ignores case.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{"type":"a","ipam":{"type":"b"}}`, `{"type":1,"Type":2}`, `[[[{"a":[]}]]]`, `{"a":1}x`, `nul`, `"\ud800"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if Check(data) != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted invalid JSON: %q", data)
		}
		var exact map[string]json.RawMessage
		var folded struct{ Type json.RawMessage }
		if json.Unmarshal(data, &exact) != nil || json.Unmarshal(data, &folded) != nil {
			return
		}
		if own, ok := exact["type"]; ok && !reflect.DeepEqual(own, folded.Type) {
			t.Fatalf("a parser that ignores case reads type as %s, not %s: %q", folded.Type, own, data)
		}
	})
}
