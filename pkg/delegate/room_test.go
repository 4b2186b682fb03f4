package delegate

import (
	"strings"
	"testing"
)

// Each prints less than a plugin may.
func TestPluginsTogetherCannotMakeKactusHoldMoreThanItHasRoomFor(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", `printf '{"cniVersion": "1.0.0", "dns": {"domain": "'; head -c 600000 /dev/zero | tr '\0' x; echo '"}}'; [ $CNI_COMMAND = ADD ] || exit 1`)
	r := f.runner()
	r.Room = &Room{}
	for range 3 { // what is of no use any more takes no room
		if err := r.Del(t.Context(), callOf(t, `{"type": "one"}`)); err == nil || strings.Contains(err.Error(), "printed more than") {
			t.Fatalf("DEL: %v", err)
		}
	}
	if _, err := r.Add(t.Context(), callOf(t, `{"type": "one"}`)); err != nil {
		t.Fatal(err)
	}
	_, err := r.Add(t.Context(), callOf(t, `{"type": "one"}`))
	if err == nil || !strings.Contains(failure(t, err).Error(), "all plugins together more than 1048576") {
		t.Errorf("the second result: %v", err)
	}
	r.Room = nil
	if _, err := r.Add(t.Context(), callOf(t, `{"type": "one"}`)); err != nil {
		t.Error(err)
	}
}

func TestALongMessageIsCut(t *testing.T) {
	f := newFolder(t)
	f.plugin("one", `printf '{"code": 7, "msg": "begins'; head -c 600000 /dev/zero | tr '\0' x; echo '"}'; exit 1`)
	err := f.runner().Del(t.Context(), callOf(t, `{"type": "one"}`))
	if failed := failure(t, err); failed.Code != 7 || !strings.Contains(err.Error(), ": begins") || len(err.Error()) > 2*maxStderr {
		t.Errorf("code %d, %d bytes", failed.Code, len(err.Error()))
	}
}
