package delegate

import (
	"strings"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/budget"
)

// Each of the plugins prints less than the limit for one.
func TestOutput_Budget(t *testing.T) {
	s := newScripts(t)
	s.add("one", `printf '{"cniVersion": "1.0.0", "dns": {"domain": "'
		head -c 600000 /dev/zero | tr '\0' x; echo '"}}'; [ $CNI_COMMAND = ADD ] || exit 1`)
	r := s.runner()
	r.Output = budget.New(MaxOutput)
	for range 3 { // what is not kept does not count
		err := delErr(r.Del(t.Context(), newCall(t, onePlugin)))
		if err == nil || strings.Contains(err.Error(), "printed more than") {
			t.Fatalf("DEL: %v", err)
		}
	}
	_, err := r.Add(t.Context(), newCall(t, onePlugin))
	must(t, err)
	_, err = r.Add(t.Context(), newCall(t, onePlugin))
	if err == nil || !strings.Contains(asError(t, err).Error(), "all plugins together more than 1048576") {
		t.Errorf("the second result: %v", err)
	}
	r.Output = nil
	_, err = r.Add(t.Context(), newCall(t, onePlugin))
	must(t, err)
}

func TestOutput_FailedAddDoesNotCount(t *testing.T) {
	s := newScripts(t)
	s.add("one", `printf '{"code": 7, "msg": "'; head -c 600000 /dev/zero | tr '\0' x; echo '"}'; exit 1`)
	r := s.runner()
	r.Output = budget.New(MaxOutput)
	for range 3 {
		_, err := r.Add(t.Context(), newCall(t, onePlugin))
		if failed := asError(t, err); failed.Code != 7 {
			t.Fatalf("got %.200v", err)
		}
	}
}
