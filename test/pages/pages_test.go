package pages

import (
	"fmt"
	"slices"
	"testing"
)

var page = Parse("dir/page.md", "# The `first`, and [a link](other.md#x)\n"+
	"A `span that\ngoes on` and `[no](link)`.\n"+
	"## Same\n\n| key | meaning |\n| --- | --- |\n| `a`, `b` | one |\n| `c` | `d` |\n\n## Same\n"+
	"```sh\ncommand \\\n  --option # [no](link)\n```\n"+
	"### Lower\n```json\n{\n}\n```\n## Last\n")

func expect(t *testing.T, what string, got any, want string) {
	t.Helper()
	if fmt.Sprint(got) != want {
		t.Errorf("%s: %v, want %s", what, got, want)
	}
}

func TestPage(t *testing.T) {
	expect(t, "links", page.Links(), "[dir/page.md:1: other.md#x]")
	expect(t, "anchors", page.Anchors(), "[the-first-and-a-link same same-1 lower last]")
	expect(t, "lines", page.Lines(), "21")
	var code []string
	for _, found := range page.Code() {
		code = append(code, found.Text)
	}
	want := []string{"first", "span that goes on", "[no](link)", "a", "b", "c", "d",
		"command --option # [no](link)", "{", "}"}
	if !slices.Equal(code, want) {
		t.Errorf("code: %q, want %q", code, want)
	}
	expect(t, "keys", Keys(page.Table(t, "key"), "key"), "[a b c]")
	expect(t, "blocks", page.Blocks("json"), "[dir/page.md:18: {\n}]")
	expect(t, "a section", page.Section(t, "Same").Anchors(), "[]")
	expect(t, "a section's table", Keys(page.Section(t, "Same").Table(t, "key"), "meaning"), "[d]")
}

func TestConstants(t *testing.T) {
	own := Constants(t, "test/pages/testdata/constants")
	expect(t, "a constant of an enumeration", own["Second"], "1")
	expect(t, "a string", own["text"], "a string")
	expect(t, "one of a package that is not read", own["Other"], "")
	expect(t, "literals", Literals(t, "test/pages/testdata/constants"), "[example.com/other a string]")
	expect(t, "names of another package", Selected(t, "test/pages/testdata/constants", "other"), "map[Constant:true]")
}

func TestJSONKeys(t *testing.T) {
	type inner struct {
		A int `json:"a,omitempty"`
		B int `json:"-"`
	}
	keys := JSONKeys(struct {
		inner
		C string `json:"c"`
	}{})
	slices.Sort(keys)
	expect(t, "keys", keys, "[a c]")
}
