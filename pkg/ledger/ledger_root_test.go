//go:build root

package ledger

import (
	"os"
	"strings"
	"testing"
)

func TestOpen_DirectoryOfAnotherUser(t *testing.T) {
	own, foreign := t.TempDir(), t.TempDir()
	must(t, os.Chown(foreign, 4242, -1))
	for name, c := range map[string]struct{ dir, lockDir, want string }{
		"records": {foreign, own, "open the ledger's directory: "},
		"locks":   {own, foreign, "open the directory of the ledger's locks: "},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.want + foreign + " belongs to the user 4242, not to 0"
			if _, err := Open(c.dir, c.lockDir); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestLock_RecordOfAnotherUser(t *testing.T) {
	l := openLedger(t)
	path, _ := writeRecord(t, l)
	must(t, os.Chown(path, 4242, -1))
	testCorrupt(t, l, path)
	t.Run("the error names both users", func(t *testing.T) {
		path, _ := writeRecord(t, l)
		must(t, os.Chown(path, 4242, -1))
		if _, err := l.ReadRecord("c1"); err == nil || !strings.Contains(err.Error(), "the user 4242, not to 0") {
			t.Errorf("got %v", err)
		}
	})
}
