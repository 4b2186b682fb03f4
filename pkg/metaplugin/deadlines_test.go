package metaplugin

import (
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"
)

// grace is how long a plugin that has to end may go on.
const grace = 2 * time.Second

func TestDeadlines_FitIntoThoseOfRuntimes(t *testing.T) {
	tests := []struct {
		operation  string
		got, limit time.Duration
	}{
		{"an ADD, with its roll-back", StdinTimeout + addTimeout + grace + rollBackTimeout + grace, 100 * time.Second},
		{"a DEL", StdinTimeout + delTimeout + grace, 45 * time.Second},
		{"a GC", gcTimeout + grace, 25 * time.Second},
		{"a GC, with stdin", StdinTimeout + gcTimeout + grace, 30 * time.Second},
		{"what a GC forwards", forwardGCTimeout + grace, gcTimeout - 10*time.Second},
		{"a STATUS", statusTimeout, 10 * time.Second},
		{"waiting for the lock", lockTimeout, addTimeout},
		{"waiting for the lock, and ending what holds it", delLockTimeout + 2*grace, delAuxiliaryTimeout},
		{"the auxiliary attachments of a DEL", delAuxiliaryTimeout, delTimeout - grace},
		{"those of a roll-back", rollBackAuxiliaryTimeout, rollBackTimeout - grace},
	}
	for _, tt := range tests {
		if tt.got > tt.limit {
			t.Errorf("%s takes up to %s, limit is %s", tt.operation, tt.got, tt.limit)
		}
	}
}

func TestDeadlines_AgreeWithTheTable(t *testing.T) {
	source, err := os.ReadFile("deadlines.go")
	if err != nil {
		t.Fatal(err)
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }
	for _, row := range []struct {
		name, limit, parts string
	}{
		{"ADD", seconds(addTimeout), seconds(lockTimeout) + " for the lock"},
		{"  roll-back", seconds(rollBackTimeout), seconds(rollBackAuxiliaryTimeout) + " for the auxiliary"},
		{"DEL", seconds(delTimeout),
			seconds(delLockTimeout) + " for the lock; the auxiliary attachments end at " +
				seconds(delAuxiliaryTimeout)},
		{"CHECK", seconds(checkTimeout), seconds(lockTimeout) + " for the lock"},
		{"  hot networks", seconds(checkHotTimeout), ""},
		{"GC", seconds(gcTimeout), seconds(forwardGCTimeout) + " to forward"},
		{"kactus gc", seconds(reclaimTimeout), ""},
		{"STATUS", seconds(statusTimeout), ""},
		{"stdin", seconds(StdinTimeout), "before"},
	} {
		pattern := `(?m)^//\t` + row.name + ` +` + regexp.QuoteMeta(row.limit) + ` *` + regexp.QuoteMeta(row.parts)
		if !regexp.MustCompile(pattern).Match(source) {
			t.Errorf("the table of deadlines.go has no row %q, %q, %q", row.name, row.limit, row.parts)
		}
	}
}
