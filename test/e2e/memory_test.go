package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var highWater = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

// peak waits until kactus ends, and is the most memory that it held, in MiB. The kernel's own account of a process that ended also has what
// its parent held.
func (r *running) peak(t *testing.T) int {
	t.Helper()
	path := filepath.Join("/proc", strconv.Itoa(r.cmd.Process.Pid), "status")
	kib := 0
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !r.ended() {
		<-ticker.C
		data, _ := os.ReadFile(path)
		if m := highWater.FindSubmatch(data); m != nil {
			kib, _ = strconv.Atoi(string(m[1]))
		}
	}
	return kib >> 10
}

func TestMemory(t *testing.T) {
	t.Parallel()
	const limit = 64 // MiB
	tn := newTenant(t)
	tn.conf.DelegateTimeout = "5s"
	tn.script(t, "quiet", `echo '{"cniVersion": "1.0.0"}'`)
	tn.script(t, "loud", `printf '{"cniVersion": "1.0.0", "dns": {"domain": "'; head -c 1000000 /dev/zero | tr '\0' '<'; echo '"}}'`)
	tn.script(t, "endless", `[ "$CNI_COMMAND" != ADD ] || exec cat /dev/zero`)
	tn.script(t, "rude", `printf '{"code": 1, "msg": "'; head -c 1000000 /dev/zero | tr '\0' '<'; echo '"}'; exit 1`)
	var keys strings.Builder
	for i := range 90000 {
		fmt.Fprintf(&keys, `,"%x":1`, i)
	}
	long := `, "pad": "` + strings.Repeat("x", 1000<<10) + `"`
	for _, c := range []struct {
		what, plugin, pad string
		networks          int
	}{
		{"many long configurations", "quiet", long, 16},
		{"two long configurations and results", "loud", long, 2},
		{"a configuration of very many keys and a long result", "loud", keys.String(), 1},
		{"two configurations of very many keys", "quiet", keys.String(), 2},
		{"results that are long together", "loud", "", 32},
		{"errors that are long together", "rude", "", 32},
		{"plugins that print without end", "endless", "", 2},
	} {
		t.Run("is bounded with "+c.what, func(t *testing.T) {
			var ask []string
			for range c.networks {
				name := fmt.Sprintf("n%d", numbers.Add(1))
				tn.network(t, name, `{"type": "`+c.plugin+`"`+c.pad+`}`)
				ask = append(ask, `{"name": "`+name+`"}`)
			}
			p := tn.pod(t, "["+strings.Join(ask, ",")+"]")
			for _, verb := range []string{"ADD", "DEL"} {
				if peak := p.start(t, verb, p.conf, p.runtime()).peak(t); peak >= limit {
					t.Errorf("%s needs %d MiB; want less than %d", verb, peak, limit)
				} else {
					t.Logf("%s needs %d MiB", verb, peak)
				}
			}
		})
	}
}
