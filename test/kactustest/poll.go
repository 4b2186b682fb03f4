package kactustest

import (
	"context"
	"testing"
	"time"
)

// Poll waits until holds returns true, and returns false if that takes more than half a minute or
// ctx ends first. It is for conditions that nothing announces.
func Poll(ctx context.Context, holds func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return true
}

// Eventually waits as [Poll] does, and fails the test if the condition does not come true.
func Eventually(t *testing.T, condition string, holds func() bool) {
	t.Helper()
	if !Poll(t.Context(), holds) {
		t.Fatalf("timed out waiting for: %s", condition)
	}
}

// Must fails the test if err is not nil.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
