package e2e

import (
	"strings"
	"testing"
)

// expectWords fails the test if the text lacks one of the words.
func expectWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q; want %q in it", text, word)
		}
	}
}
