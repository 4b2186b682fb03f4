package multus

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page for operators has the same keys, in the same order, and what they become.
func TestKeys_AreThoseOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/migrating-from-multus.md")
	must(t, err)
	_, table, found := strings.Cut(string(page), "\n| Multus | kactus | remarks |\n")
	if !found {
		t.Fatal("the page has no such table")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var got, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(.*?)` \\| (.*?) \\|").FindAllStringSubmatch(table, -1) {
		got = append(got, row[1]+": "+strings.ReplaceAll(row[2], "`", ""))
	}
	for _, k := range Keys() {
		becomes := k.Becomes
		if becomes == "" {
			becomes = "none"
		}
		want = append(want, k.Name+": "+becomes)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the page has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
