package strictjson

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

type object struct {
	Name string            `json:"name"`
	Size int               `json:"size"`
	Good bool              `json:"good"`
	List []string          `json:"list"`
	Spec struct{}          `json:"spec"`
	Tags map[string]string `json:"tags"`
}

func TestUnmarshal(t *testing.T) {
	var got object
	if err := Unmarshal([]byte(`{"name": "a", "size": 3, "good": true, "list": ["x"]}`), &got); err != nil {
		t.Fatal(err)
	}
	if want := (object{Name: "a", Size: 3, Good: true, List: []string{"x"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestUnmarshal_Errors(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"an unknown key", `{"name": "a", "nmae": "b"}`, "nmae: unknown key"},
		{"a key in another case", `{"Name": "a"}`, "Name: unknown key"},
		{"two unknown keys", `{"a": 1, "b": 2}`, "a: unknown key\nb: unknown key"},
		{"an unknown key in an object", `{"spec": {"a": 1}}`, "spec.a: unknown key"},
		{"a key twice", `{"name": "a", "name": "b"}`, "name: key occurs twice"},
		{"a number for a string", `{"name": 3}`, "name: must be a string, got number"},
		{"a fraction for an integer", `{"size": 1.5}`, "size: must be an integer, got number 1.5"},
		{"a string for a boolean", `{"good": "yes"}`, "good: must be true or false, got string"},
		{"a string for an array", `{"list": "a"}`, "list: must be an array, got string"},
		{"a number in an array of strings", `{"list": ["a", 7]}`, "list: must be a string, got number"},
		{"an array for an object", `{"spec": []}`, "spec: must be an object, got array"},
		{"a boolean for a map", `{"tags": true}`, "tags: must be an object, got bool"},
		{"a string alone", `"a"`, "must be an object, got string"},
		{"invalid JSON", `{"name"`, "invalid JSON: unexpected end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expectError(t, Unmarshal([]byte(tt.in), new(object)), tt.want)
		})
	}
}

func TestUnmarshal_DoesNotRepeatTheInput(t *testing.T) {
	long := strings.Repeat("k", 100_000)
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, `"key-%d": 1, `, i)
	}
	for name, in := range map[string]string{
		"a long unknown key":          `{"` + long + `": 1}`,
		"a long key twice":            `{"` + long + `": 1, "` + long + `": 2}`,
		"a long key in two spellings": `{"` + long + `": 1, "` + strings.ToUpper(long) + `": 2}`,
		"many unknown keys":           `{` + many.String() + `"name": "a"}`,
		"too deep below a long key":   `{"` + long + `": ` + arrays(MaxDepth) + `}`,
		"a long number":               `{"name": ` + strings.Repeat("1", 100_000) + `}`,
		"a long word that is no JSON": long,
	} {
		t.Run(name, func(t *testing.T) {
			if err := Unmarshal([]byte(in), new(object)); err == nil || len(err.Error()) > 1024 {
				t.Errorf("the error has %d bytes", len(fmt.Sprint(err)))
			}
		})
	}
}

func TestDecode(t *testing.T) {
	var got struct {
		Spec struct {
			Config string `json:"config"`
		} `json:"spec"`
	}
	t.Run("ignores unknown keys", func(t *testing.T) {
		err := Decode([]byte(`{"kind": "Network", "spec": {"config": "{}", "Config": "other"}}`), &got)
		if err != nil || got.Spec.Config != "{}" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	for name, tt := range map[string]struct{ in, want string }{
		"a wrong type":      {`{"spec": {"config": {"type": "vlan"}}}`, "spec.config: must be a string, got object"},
		"an object cut off": {`{"spec": {`, "invalid JSON: unexpected end"},
		"an HTML page":      {`<html>`, `invalid JSON at byte 1, near "<html>"`},
	} {
		t.Run(name, func(t *testing.T) { expectError(t, Decode([]byte(tt.in), &got), tt.want) })
	}
}

// expectError fails the test unless err has the text want; an empty want stands for no error.
func expectError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got the error %q, want %q", got, want)
	}
}
