package meta

import (
	"os"
	"testing"
	"time"
)

// stuckPod is a Pod on whose network green a plugin works that cannot undo what it made.
func stuckPod(t *testing.T) (*node, Request) {
	t.Helper()
	n := newNode(t)
	n.plugin("stuck", `[ $CNI_COMMAND = DEL ] && exit 1; echo '{"cniVersion":"1.0.0"}'`)
	n.api.annotation = `[{"name": "green"}]`
	n.api.networks["tenant/green"] = `{"type": "stuck"}`
	req := n.request(n.conf(n.ptp(1)))
	n.add(req)
	return n, req
}

func TestAMissingPluginDoesNotHoldAPodButIsNotForgotten(t *testing.T) {
	n, req := stuckPod(t)
	must(t, os.Remove(n.path("plugins/stuck")))
	n.del(req)
	if left := n.netns.Devices(t); len(left) != 0 || len(n.leases()) != 0 {
		t.Errorf("eth0 is left: %v, %v", left, n.leases())
	}
	r := n.record()
	if len(r.Attachments) != 0 || len(r.Orphans) != 1 || r.Orphans[0].Network != "green" {
		t.Errorf("the ledger has %+v and the orphans %+v", r.Attachments, r.Orphans)
	}
	n.del(req)
	same(t, "orphans after another DEL", len(n.record().Orphans), 1)
}

func TestAPluginThatAlwaysFailsHoldsAPodForAWhile(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		fail []time.Duration // when a DEL fails
		gone time.Duration   // when one succeeds
	}{
		"three times in five minutes":  {[]time.Duration{0, time.Minute}, 5 * time.Minute},
		"often in less":                {[]time.Duration{0, 1, 2, 3, time.Minute, 5*time.Minute - 1}, 5 * time.Minute},
		"not twice, however far apart": {[]time.Duration{0, time.Hour}, time.Hour + 1},
	} {
		t.Run(name, func(t *testing.T) {
			n, req := stuckPod(t)
			for i, after := range c.fail {
				n.now = begin.Add(after)
				n.delFails(req, CodeDelegate, "network green")
				same(t, "failures", n.record().Attachments[0].Failures, i+1)
			}
			n.now = begin.Add(c.gone)
			n.del(req)
			r := n.record()
			if len(r.Attachments) != 0 || len(r.Orphans) != 1 || r.Orphans[0].Failures != len(c.fail)+1 || !r.Orphans[0].FailingSince.Equal(begin) {
				t.Errorf("the ledger has %+v and the orphans %+v", r.Attachments, r.Orphans)
			}
		})
	}
}

func TestAHotDelNeverGivesUp(t *testing.T) {
	n, req := stuckPod(t)
	n.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 4 {
		n.delFails(n.green(req.Conf), CodeDelegate, "network green")
		n.now = n.now.Add(time.Hour)
	}
	same(t, "orphans", len(n.record().Orphans), 0)
	same(t, "devices", n.netns.Devices(t), "[eth0]")
}

func TestAPodComesBackBesideItsOrphans(t *testing.T) {
	n, req := stuckPod(t)
	must(t, os.Remove(n.path("plugins/stuck")))
	n.del(req)
	n.api.annotation = ""
	n.add(req)
	n.del(req)
	r := n.record()
	if len(r.Attachments) != 0 || len(r.Orphans) != 1 {
		t.Errorf("the ledger has %+v and the orphans %+v", r.Attachments, r.Orphans)
	}
}
