package metaplugin

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/pages"
)

// The page has the codes that kactus's errors can have: its own, and those of the specification
// that it uses.
func TestErrorCodes_AreThoseOfThePage(t *testing.T) {
	codes := map[string]bool{}
	for name, value := range pages.Constants(t, "pkg/metaplugin") {
		if strings.HasPrefix(name, "Code") {
			codes[value] = true
		}
	}
	specified := pages.Constants(t, "vendor/github.com/containernetworking/cni/pkg/types")
	for _, dir := range []string{"kactus", "pkg/metaplugin"} {
		for name := range pages.Selected(t, dir, "types") {
			if value, ok := specified[name]; ok && strings.HasPrefix(name, "Err") {
				codes[value] = true
			}
		}
	}
	var documented []string
	for _, row := range pages.Read(t, "docs/errors.md").Table(t, "code") {
		documented = append(documented, row["code"])
	}
	pages.Compare(t, "an error code", documented, slices.Collect(maps.Keys(codes)))

	named := regexp.MustCompile(`\b[Ee]rrors? (\d+)\b`)
	for _, page := range pages.All(t) {
		for _, match := range named.FindAllStringSubmatch(page.Text(), -1) {
			if !codes[match[1]] {
				t.Errorf("%s: %q is no code of kactus", page.Name, match[0])
			}
		}
	}
}
