package strictjson

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

func TestCheck(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		behaviour string
		in        string
		fails     []string // what the error says; nil: none
	}{
		{"an object is accepted", `{"a": {"b": [1, {"c": null}]}}`, nil},
		{"one key in two objects is accepted", `[{"a": 1}, {"a": 2}]`, nil},
		{"a scalar is accepted", `"x"`, nil},
		{"nesting at the limit is accepted", deep(MaxDepth), nil},
		{"nesting beyond the limit is refused", deep(MaxDepth + 1), []string{"nested more than 64 deep"}},
		{"a key that occurs twice is named with its path", `{"a": [{}, {"type": 1, "type": 2}]}`, []string{"a[1].type", "twice"}},
		{"keys that differ in case count as one", `{"type": "a", "Type": "b"}`, []string{"Type", `"type"`}},
		{"the Kelvin sign counts as k", "{\"k\": 1, \"\u212a\": 2}", []string{"twice"}},
		{"the long s counts as s", "{\"s\": 1, \"\u017f\": 2}", []string{"twice"}},
		{"an escaped key counts as what it spells", `{"type": 1, "\u0074ype": 2}`, []string{"type", "twice"}},
		{"something behind the value is refused", `{} {}`, []string{"follows"}},
		{"a closing brace too many is refused", `{}}`, []string{"follows"}},
		{"an object that ends early is refused", `{"a": 1`, []string{"unexpected EOF"}},
		{"an array that ends early is refused", `[`, []string{"unexpected EOF"}},
		{"the empty text is refused", ``, []string{"unexpected EOF"}},
		{"a bare word is refused", `green`, []string{"invalid"}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			expect(t, Check([]byte(tt.in)), tt.fails)
		})
	}
}

func TestUnmarshal(t *testing.T) {
	type object struct {
		Name string   `json:"name"`
		Size int      `json:"size"`
		Good bool     `json:"good"`
		List []string `json:"list"`
	}
	tests := []struct {
		behaviour string
		in        string
		want      object
		fails     []string
	}{
		{"known keys are decoded", `{"name": "a", "size": 3}`, object{Name: "a", Size: 3}, nil},
		{"an unknown key is named", `{"name": "a", "nmae": "b"}`, object{}, []string{"nmae"}},
		{"a key in another case is unknown", `{"Name": "a"}`, object{}, []string{"Name"}},
		{"a number is no string", `{"name": 3}`, object{}, []string{"name: not a string but a JSON number"}},
		{"a fraction is no integer", `{"size": 1.5}`, object{}, []string{"size: not an integer but a JSON number 1.5"}},
		{"a string is no boolean", `{"good": "yes"}`, object{}, []string{"good: not true or false but a JSON string"}},
		{"a string is no array", `{"list": "a"}`, object{}, []string{"list: not an array but a JSON string"}},
		{"a wrong element names the key", `{"list": ["a", 7]}`, object{}, []string{"list: not a string but a JSON number"}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			var got object
			err := Unmarshal([]byte(tt.in), &got)
			expect(t, err, tt.fails)
			if tt.fails == nil && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestAnErrorDoesNotRepeatTheInput(t *testing.T) {
	long := strings.Repeat("k", 100_000)
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, `"key-%d": 1, `, i)
	}
	for what, in := range map[string]string{
		"a long unknown key":          `{"` + long + `": 1}`,
		"a long key twice":            `{"` + long + `": 1, "` + long + `": 2}`,
		"a long key in two spellings": `{"` + long + `": 1, "` + strings.ToUpper(long) + `": 2}`,
		"many unknown keys":           `{` + many.String() + `"name": "a"}`,
		"too deep below a long key":   `{"` + long + `": ` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`,
		"a long number":               `{"name": ` + strings.Repeat("1", 100_000) + `}`,
	} {
		t.Run(what, func(t *testing.T) {
			var object struct {
				Name string `json:"name"`
			}
			if err := Unmarshal([]byte(in), &object); err == nil || len(err.Error()) > 1024 {
				t.Errorf("the error is of %d bytes", len(fmt.Sprint(err)))
			}
		})
	}
}

func TestWhatIsDecodedMayHaveOtherKeys(t *testing.T) {
	var got struct {
		Spec struct {
			Config string `json:"config"`
		} `json:"spec"`
	}
	if err := Decode([]byte(`{"kind": "Network", "spec": {"config": "{}", "Config": "other"}}`), &got); err != nil || got.Spec.Config != "{}" {
		t.Errorf("got %+v, %v", got, err)
	}
	expect(t, Decode([]byte(`{"spec": {"config": {"type": "vlan"}}}`), &got), []string{"spec.config: not a string but a JSON object"})
}

func expect(t *testing.T, err error, fails []string) {
	t.Helper()
	if fails == nil && err != nil {
		t.Fatalf("error: %v", err)
	}
	if fails != nil && err == nil {
		t.Fatalf("no error, want one that says %q", fails)
	}
	for _, words := range fails {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("the error %q does not say %q", err, words)
		}
	}
}

// FuzzCheck: what Check lets through is JSON, and reads the same whether or not its reader minds the case of keys.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{"type":"a","ipam":{"type":"b"}}`, `{"type":1,"Type":2}`, `[[[{"a":[]}]]]`, `{"a":1}x`, `nul`, `"\ud800"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if Check(data) != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what is not JSON: %q", data)
		}
		var exact map[string]json.RawMessage
		var folded struct{ Type json.RawMessage }
		if json.Unmarshal(data, &exact) != nil || json.Unmarshal(data, &folded) != nil {
			return
		}
		if own, ok := exact["type"]; ok && !reflect.DeepEqual(own, folded.Type) {
			t.Fatalf("a reader that does not mind case reads type as %s, not %s: %q", folded.Type, own, data)
		}
	})
}

// Whatever encoding/json takes for a key, kactus sees, too.
func TestKeysThatOneReaderTakesForTheSameAreTheSame(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if fold(string(r)) != fold(string(other)) {
				t.Errorf("%U and %U count as two, where encoding/json takes one for the other", r, other)
			}
		}
	}
	for _, key := range []string{"type", "name", "ipam", "plugins", "cniVersion", "capabilities"} {
		for i := range key {
			for _, r := range []rune{unicode.SimpleFold(rune(key[i])), unicode.SimpleFold(unicode.SimpleFold(rune(key[i])))} {
				other := key[:i] + string(r) + key[i+1:]
				if other == key {
					continue
				}
				if err := Check([]byte(`{"` + key + `": 1, "` + other + `": 2}`)); err == nil {
					t.Errorf("%s and %s are taken for two keys", key, other)
				}
			}
		}
	}
}
