package strictjson

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
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
		Name string `json:"name"`
		Size int    `json:"size"`
	}
	tests := []struct {
		behaviour string
		in        string
		want      object
		fails     []string
	}{
		{"known keys are decoded", `{"name": "a", "size": 3}`, object{"a", 3}, nil},
		{"an unknown key is named", `{"name": "a", "nmae": "b"}`, object{}, []string{"nmae"}},
		{"a key in another case is unknown", `{"Name": "a"}`, object{}, []string{"Name"}},
		{"a wrong type names the key", `{"name": 3}`, object{}, []string{"name", "number"}},
		{"a fraction is no integer", `{"size": 1.5}`, object{}, []string{"size"}},
	}
	for _, tt := range tests {
		t.Run(tt.behaviour, func(t *testing.T) {
			var got object
			err := Unmarshal([]byte(tt.in), &got)
			expect(t, err, tt.fails)
			if tt.fails == nil && got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
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
