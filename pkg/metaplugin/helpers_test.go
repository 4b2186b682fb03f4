package metaplugin

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

// expectError returns err as a CNI error, which must have that code and, in its message, those
// words.
func expectError(t *testing.T, err error, code uint, words ...string) *types.Error {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	var cniErr *types.Error
	if !errors.As(err, &cniErr) {
		t.Fatalf("not a CNI error: %v", err)
	}
	if cniErr.Code != code {
		t.Errorf("got code %d, want %d: %v", cniErr.Code, code, err)
	}
	for _, word := range words {
		if !strings.Contains(cniErr.Msg, word) {
			t.Errorf("no %q in the message: %s", word, cniErr.Msg)
		}
	}
	if strings.Contains(cniErr.Msg+cniErr.Details, "\n\n") || strings.Contains(cniErr.Msg, "\n") {
		t.Errorf("the message is not one line: %q", cniErr.Msg)
	}
	return cniErr
}

// expectEqual compares what fmt prints.
func expectEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}
