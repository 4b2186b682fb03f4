package faults

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// misbehaviour is what a delegate does in place of what it should, for one verb.
type misbehavior struct {
	name string
	// script goes on where the bridge plugin, whose result is in the file result, has done the verb's work.
	script string
	// spoil is done to the plugin's file; may be nil.
	breakFile func(path string) error

	code  uint     // of kactus's error; zero: it succeeds
	words []string // of the delegate's own, or on what became of it
	// hangs: kactus waits for it; takes that long.
	hangs bool
}

const longDelegateTimeout = "5s" // for delegates that do work, on a machine that is slow

func addMisbehaviors() []misbehavior {
	return []misbehavior{
		{name: "a delegate hangs in ADD", script: `exec sleep 1000`, code: 102, words: []string{"did not end within " + longDelegateTimeout}, hangs: true},
		{name: "a delegate hangs in ADD and ignores SIGTERM, with a child", script: `trap '' TERM
			sh -c 'trap "" TERM; echo $$ >"$0/child"; while :; do sleep 0.05; done' "$dir" &
			echo $$ >"$dir/hung"; wait`, code: 102, words: []string{"did not end within " + longDelegateTimeout}, hangs: true},
		{name: "a delegate's child holds stdout open", script: `cat "$dir/result"; sleep 1000 & echo $! >"$dir/child"`, hangs: true},
		{name: "a delegate exits with an error in JSON", script: `echo loud >&2; echo '{"cniVersion": "1.0.0", "code": 142, "msg": "no room", "details": "the shelf is full"}'; exit 1`,
			code: 102, words: []string{"no room", "code 142", "the shelf is full", "loud"}},
		{name: "a delegate exits with an error without JSON", script: `echo loud >&2; exit 3`, code: 102, words: []string{"exit status 3", "loud"}},
		{name: "a delegate prints garbage", script: `echo hello`, code: 102, words: []string{"read its result"}},
		{name: "a delegate prints garbage and exits with an error", script: `echo hello; exit 1`, code: 102, words: []string{"exit status 1", "hello"}},
		{name: "a delegate prints 100 MB", script: `exec head -c 100000000 /dev/zero`, code: 102, words: []string{"printed more than"}},
		{name: "a delegate prints 100 MB of errors", script: `head -c 100000000 /dev/zero >&2; echo '{"code": 142, "msg": "no room"}'; exit 1`, code: 102, words: []string{"no room"}},
		{name: "a delegate prints nothing", script: `:`, code: 102, words: []string{"read its result"}},
		{name: "a delegate's result is of another version", script: `echo '{"cniVersion": "0.3.1", "interfaces": [{"name": "'$CNI_IFNAME'", "sandbox": "'$CNI_NETNS'"}]}'`},
		{name: "a delegate's result is of a version that nobody knows", script: `sed 's/"cniVersion": "[^"]*"/"cniVersion": "9.9.9"/' "$dir/result"`, code: 102, words: []string{"9.9.9"}},
		{name: "a delegate's result is for another device", script: `sed "s/$CNI_IFNAME/eth7/" "$dir/result"`},
		{name: "a delegate is killed by a signal", script: `kill -KILL $$`, code: 102, words: []string{"signal: killed"}},
		{name: "a delegate lacks the execute bit", breakFile: func(path string) error { return os.Chmod(path, 0o644) }, code: 102, words: []string{"may not be executed"}},
		{name: "a delegate's file is no program", breakFile: func(path string) error { return os.WriteFile(path, []byte("hello"), 0o755) }, code: 102, words: []string{"exec format error"}},
	}
}

// role is where in a Pod a delegate is.
type role struct {
	name, network, ifName string
	// begin gets ready what the verb needs, and says with what devices the Pod is then.
	prepare func(t *testing.T, p *kactustest.Pod) []string
	add     func(t *testing.T, p *kactustest.Pod) error
	del     func(t *testing.T, p *kactustest.Pod) error
}

func roles() []role {
	add := func(t *testing.T, p *kactustest.Pod) error { _, err := p.AddWith(t, p.Conf, p.Runtime()); return err }
	del := func(t *testing.T, p *kactustest.Pod) error { return p.DelWith(t, p.Conf, p.Runtime()) }
	nothing := func(*testing.T, *kactustest.Pod) []string { return nil }
	return []role{
		{name: "master", network: kactustest.DefaultNetwork, ifName: "eth0", prepare: nothing, add: add, del: del},
		{name: "auxiliary", network: "blue", ifName: kactustest.BlueIfName, prepare: nothing, add: add, del: del},
		{
			name: "hot", network: "blue", ifName: kactustest.BlueIfName,
			prepare: func(t *testing.T, p *kactustest.Pod) []string {
				p.Add(t)
				return []string{"eth0", kactustest.GreenIfName}
			},
			add: func(t *testing.T, p *kactustest.Pod) error {
				_, err := p.AddWith(t, p.AgentConf(), p.Agent("blue", ""))
				return err
			},
			del: func(t *testing.T, p *kactustest.Pod) error { return p.DelWith(t, p.AgentConf(), p.Agent("blue", "")) },
		},
	}
}

// rolesToTry are all; the short campaign does not wait more than once for what hangs.
func (m misbehavior) rolesToTry() []role {
	if m.hangs && !*fullCampaign {
		return roles()[1:2]
	}
	return roles()
}

// faultyPod has the network green, and blue where the role is auxiliary. The delegate of the role is the plugin odd.
func (r role) newPod(t *testing.T, m misbehavior) *kactustest.Pod {
	t.Helper()
	tn := kactustest.NewTenant(t)
	if m.hangs {
		tn.Conf.DelegateTimeout = longDelegateTimeout
	}
	repairDelegate(t, tn)
	tn.CreateBridgeNetworks(t, "green")
	if r.ifName == "eth0" {
		tn.SetDelegates(`{"masterPlugin": true, ` + oddBridge(t, tn, "odd") + `}`)
		return tn.NewPod(t, `[{"name":"green"}]`)
	}
	tn.CreateNetwork(t, "blue", "{"+oddBridge(t, tn, "blue")+"}")
	if r.name == "hot" {
		return tn.NewPod(t, `[{"name":"green"}]`)
	}
	return tn.NewPod(t, `[{"name":"green"},{"name":"blue"}]`)
}

func oddBridge(t *testing.T, tn *kactustest.Tenant, name string) string {
	t.Helper()
	return strings.Replace(tn.BridgeConfig(t, name), `"bridge"`, `"odd"`, 1)
}

// well makes odd do what it should.
func repairDelegate(t *testing.T, tn *kactustest.Tenant) {
	t.Helper()
	tn.AddScript(t, "odd", "exec "+kactustest.PluginDir()+"/bridge\n")
	kactustest.Must(t, os.Chmod(filepath.Join(tn.Path[0], "odd"), 0o755))
}

// ill makes odd misbehave in that verb.
func breakDelegate(t *testing.T, tn *kactustest.Tenant, m misbehavior, operation string) {
	t.Helper()
	tn.AddScript(t, "odd", `[ "$CNI_COMMAND" = `+operation+` ] || exec `+kactustest.PluginDir()+`/bridge
dir=`+tn.Dir+`
`+kactustest.PluginDir()+`/bridge >"$dir/result" || exit 1
`+m.script+"\n")
	if m.breakFile != nil {
		kactustest.Must(t, m.breakFile(filepath.Join(tn.Path[0], "odd")))
	}
}

func TestFaultDelegateInAdd(t *testing.T) {
	t.Parallel()
	for _, m := range addMisbehaviors() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			row := fault{name: m.name}
			for _, r := range m.rolesToTry() {
				m.tryAdd(t, &row, r)
			}
			row.report(t)
		})
	}
}

// tryAdd: an ADD with the delegate fails with the delegate's words, and has undone all when it ends; or it succeeds. Then the runtime's DEL leaves nothing.
func (m misbehavior) tryAdd(t *testing.T, row *fault, r role) {
	t.Helper()
	p := r.newPod(t, m)
	before := r.prepare(t, p)
	breakDelegate(t, p.Tenant, m, "ADD")
	start := time.Now()
	err := r.add(t, p)
	lost := checkError(err, m.code, append(m.words, m.names(r)...)...)
	if m.code != 0 {
		lost = append(lost, deviations(t, p, before...)...)
	} else if wrong := deviations(t, p, r.ifNames(p)...); len(wrong) > 0 {
		lost = append(lost, wrong...)
	}
	lost = append(lost, checkProcesses(t, p, m)...)
	lost = append(lost, checkError(p.DelWith(t, p.Conf, p.Runtime()), 0)...)
	lost = append(lost, deviations(t, p)...)
	row.count(t, "as the "+r.name+" delegate", time.Since(start), lost...)
}

// namesOf is what an error of the delegate names.
func (m misbehavior) names(r role) []string {
	if m.code == 0 {
		return nil
	}
	return []string{r.network, r.ifName, "odd"}
}

// devices are those that the Pod has with the role's.
func (r role) ifNames(p *kactustest.Pod) []string {
	if r.ifName == "eth0" {
		return []string{"eth0", kactustest.GreenIfName}
	}
	return []string{"eth0", kactustest.GreenIfName, kactustest.BlueIfName}
}

// endLeftProcesses: what hangs has ended, with its children; the child that a delegate left on purpose has not, and is ended here.
func checkProcesses(t *testing.T, p *kactustest.Pod, m misbehavior) []string {
	t.Helper()
	var lost []string
	for _, name := range []string{"hung", "child"} {
		path := filepath.Join(p.Dir, name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		switch {
		case m.code == 0 && kactustest.ProcessEnded(t, path):
			lost = append(lost, "the process that was meant to stay has ended")
		case m.code == 0:
			kactustest.EndProcess(t, path)
		case !kactustest.Poll(t.Context(), func() bool { return kactustest.ProcessEnded(t, path) }):
			lost = append(lost, "the process "+name+" has not ended")
			kactustest.EndProcess(t, path)
		}
	}
	return lost
}

func delMisbehaviors() []misbehavior {
	return []misbehavior{
		{name: "a delegate hangs in DEL", script: `exec sleep 1000`, code: 102, words: []string{"did not end within " + longDelegateTimeout}, hangs: true},
		{name: "a delegate fails DEL once", script: `echo '{"code": 142, "msg": "stuck"}'; exit 1`, code: 102, words: []string{"stuck", "code 142"}},
		{name: "a delegate is killed by a signal in DEL", script: `kill -KILL $$`, code: 102, words: []string{"signal: killed"}},
		{name: "a delegate prints 100 MB in DEL", script: `head -c 100000000 /dev/zero; exit 1`, code: 102, words: []string{"exit status 1"}},
		{name: "a delegate disappears between ADD and DEL", breakFile: os.Remove, code: 102, words: []string{"the plugin's binary is missing"}},
		{name: "a delegate loses the execute bit between ADD and DEL", breakFile: func(path string) error { return os.Chmod(path, 0o644) }, code: 102, words: []string{"may not be executed"}},
		{name: "a delegate's file is no program at DEL", breakFile: func(path string) error { return os.WriteFile(path, []byte("hello"), 0o755) }, code: 102, words: []string{"exec format error"}},
	}
}

func TestFaultDelegateInDel(t *testing.T) {
	t.Parallel()
	for _, m := range delMisbehaviors() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			row := fault{name: m.name}
			for _, r := range m.rolesToTry() {
				m.tryDel(t, &row, r)
			}
			row.report(t)
		})
	}
}

// tryDel: a DEL with the delegate undoes all but what is the delegate's, which it keeps in the ledger, and fails with the delegate's words. With the
// delegate well again, the next one leaves nothing. A delegate that is gone does not hold the Pod: what it made is for kactus gc.
func (m misbehavior) tryDel(t *testing.T, row *fault, r role) {
	t.Helper()
	p := r.newPod(t, m)
	r.prepare(t, p)
	kactustest.Must(t, r.add(t, p))
	breakDelegate(t, p.Tenant, m, "DEL")
	start := time.Now()
	err := r.del(t, p)
	lost := m.checkDelError(p, r, err)
	lost = append(lost, checkOtherLeases(t, p, r)...)
	repairDelegate(t, p.Tenant)
	if err == nil {
		lost = append(lost, reclaim(t, p)...)
	} else {
		lost = append(lost, checkError(r.del(t, p), 0)...)
		lost = append(lost, checkError(p.DelWith(t, p.Conf, p.Runtime()), 0)...)
	}
	lost = append(lost, deviations(t, p)...)
	row.count(t, "as the "+r.name+" delegate", time.Since(start), lost...)
}

// unlikeDel is what a DEL's error is not. The Pod's DEL gives up a delegate that is gone; a hot DEL does not.
func (m misbehavior) checkDelError(p *kactustest.Pod, r role, err error) []string {
	if m.breakFile != nil && r.name != "hot" {
		return checkError(err, 0)
	}
	return checkError(err, m.code, append(m.words, m.names(r)...)...)
}

// othersAmiss: of the networks that are not the delegate's, a Pod's DEL leaves nothing, and a hot DEL all.
func checkOtherLeases(t *testing.T, p *kactustest.Pod, r role) []string {
	t.Helper()
	want := map[string]int{kactustest.DefaultNetwork: 0, "green": 0}
	if r.name == "hot" {
		want = map[string]int{kactustest.DefaultNetwork: 1, "green": 1}
	}
	var wrong []string
	for network, leases := range want {
		if got := p.Leases(t, network); network != r.network && len(got) != leases {
			wrong = append(wrong, "host-local has "+strings.Join(got, ", ")+" of "+network)
		}
	}
	return wrong
}

// collect is kactus gc when the Pod's network namespace is gone too.
func reclaim(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	p.LoseNetns()
	p.PretendReboot(t) // the kernel may have given the namespace's number to another test's
	if out, code := p.Subcommand(t, "gc"); code != 0 {
		return []string{"kactus gc says " + out}
	}
	return nil
}

// A delegate that fails for minutes, and for ever, does not hold a Pod.
func TestFaultDelegateThatFailsEveryDel(t *testing.T) {
	t.Parallel()
	m := misbehavior{name: "a delegate fails DEL always", script: `echo '{"code": 142, "msg": "stuck"}'; exit 1`, code: 102, words: []string{"stuck"}}
	row := fault{name: m.name}
	for _, r := range roles()[:2] {
		p := r.newPod(t, m)
		kactustest.Must(t, r.add(t, p))
		breakDelegate(t, p.Tenant, m, "DEL")
		start := time.Now()
		var lost []string
		for range 2 {
			lost = append(lost, checkError(r.del(t, p), m.code, append(m.words, m.names(r)...)...)...)
		}
		ageFailures(t, p)
		lost = append(lost, checkError(r.del(t, p), 0)...)
		lost = append(lost, checkOtherLeases(t, p, r)...)
		repairDelegate(t, p.Tenant)
		lost = append(lost, reclaim(t, p)...)
		lost = append(lost, deviations(t, p)...)
		row.count(t, "as the "+r.name+" delegate", time.Since(start), lost...)
	}
	row.report(t)
}

var failingSince = regexp.MustCompile(`"failingSince":"[^"]*"`)

// age makes the record's failures ones that began an hour ago.
func ageFailures(t *testing.T, p *kactustest.Pod) {
	t.Helper()
	data, err := os.ReadFile(p.RecordPath())
	kactustest.Must(t, err)
	old := failingSince.ReplaceAllString(string(data), `"failingSince":"`+time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)+`"`)
	kactustest.Must(t, os.WriteFile(p.RecordPath(), []byte(old), 0o600))
}
