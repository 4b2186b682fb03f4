package faults

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// An abandoned delegate still runs when its kactus is killed.
type abandoned struct {
	name string
	// script is what the delegate of blue does then. It writes to the FIFO running when it begins,
	// and after the FIFO open was written to, it may go on.
	script string
	// ends means that the delegate ends by itself once the FIFO open was written to.
	ends bool
}

var abandonedDelegates = []abandoned{
	{name: "hangs", script: `exec sleep 1000`},
	{name: "hangs and ignores SIGTERM, with a child",
		script: `trap '' TERM; sh -c 'trap "" TERM; while :; do sleep 0.05; done' & wait`},
	{name: "is slow", script: `read -r line <"$dir/open"`, ends: true},
	{name: "started a daemon", script: `read -r line <"$dir/open"
		setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >"$dir/daemon"`, ends: true},
}

// When kactus is killed while delegates run, the one DEL that the runtime then sends leaves
// nothing, however long a delegate would have run.
func TestFault_RuntimeKillsWithDelegatesAlive(t *testing.T) {
	t.Parallel()
	for _, a := range abandonedDelegates {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			f := fault{name: "SIGKILL while a delegate runs that " + a.name + "; then one DEL"}
			for _, v := range []operation{podAdd, podDel} {
				f.try(t, v.command, func(t *testing.T) time.Duration { return a.try(t, v) })
			}
			f.report(t)
		})
	}
}

// try kills kactus in the operation, and returns how long the one DEL took.
func (a abandoned) try(t *testing.T, v operation) time.Duration {
	t.Helper()
	tn := newCampaignTenant(t)
	running := kactustest.NewFIFO(t, filepath.Join(tn.Dir, "running"))
	open := kactustest.NewFIFO(t, filepath.Join(tn.Dir, "open"))
	tn.CreateNetwork(t, "odd", "{"+tn.BridgeConfigFor(t, "odd", "odd")+"}")
	tn.AddScript(t, "odd", "exec "+kactustest.PluginDir()+"/bridge\n")
	p := tn.NewPod(t, `[{"name":"green"},{"name":"odd"}]`)
	if v.command == "DEL" {
		p.Add(t)
	}
	once := filepath.Join(tn.Dir, "once")
	tn.AddScript(t, "odd", `
[ ! -e `+once+` ] && [ $CNI_COMMAND = `+v.command+` ] || exec `+kactustest.PluginDir()+`/bridge
dir=`+tn.Dir+`
: >`+once+`
`+kactustest.PluginDir()+`/bridge
echo >"$dir/running"
`+a.script+"\n")
	r := v.start(t, p)
	kactustest.AwaitWrite(t, running)
	r.Signal(t, syscall.SIGKILL)
	<-r.Exited
	begin := time.Now()
	del := podDel.start(t, p)
	if a.ends {
		del.AwaitLock(t)
		_, err := open.WriteString("\n")
		kactustest.Must(t, err)
	}
	_, err := del.Wait(t)
	kactustest.Must(t, err)
	took := time.Since(begin)
	if limit := 45 * time.Second; took > limit {
		t.Errorf("the DEL took %s; a runtime waits for %s", took, limit)
	}
	p.ExpectGone(t)
	expectLedgerFiles(t, p)
	if daemon := filepath.Join(tn.Dir, "daemon"); a.name == "started a daemon" {
		if kactustest.ProcessEnded(t, daemon) {
			t.Error("the daemon was ended")
		}
		kactustest.EndProcess(t, daemon)
	}
	expectNoProcess(t, p)
	return took
}
