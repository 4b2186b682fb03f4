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

// A misbehavior is what a delegate does wrong in one operation.
type misbehavior struct {
	name string
	// script continues after the bridge plugin has done the operation's work. The plugin's result
	// is in the file result.
	script string
	// breakFile, if not nil, breaks the plugin's file.
	breakFile func(path string) error

	code  uint     // the code of kactus's error; zero if it succeeds
	words []string // in the error: the delegate's own, or what happened to it
	// hangs is set if kactus has to wait for the delegate, which takes long.
	hangs bool
}

const longDelegateTimeout = "5s" // enough for a delegate on a slow machine

func addMisbehaviors() []misbehavior {
	return []misbehavior{
		{name: "a delegate hangs in ADD", script: `exec sleep 1000`, code: 102, words: []string{longDelegateTimeout},
			hangs: true},
		{name: "a delegate hangs in ADD and ignores SIGTERM, with a child", script: `trap '' TERM
			sh -c 'trap "" TERM; echo $$ >"$0/child"; while :; do sleep 0.05; done' "$dir" &
			echo $$ >"$dir/hung"; wait`, code: 102, words: []string{longDelegateTimeout}, hangs: true},
		{name: "a delegate's child holds stdout open", script: `cat "$dir/result"; sleep 1000 & echo $! >"$dir/child"`,
			hangs: true},
		{name: "a delegate exits with an error in JSON",
			script: `echo loud >&2
				echo '{"cniVersion": "1.0.0", "code": 142, "msg": "no room", "details": "the shelf is full"}'; exit 1`,
			code: 102, words: []string{"no room", "code 142", "the shelf is full", "loud"}},
		{name: "a delegate exits with an error without JSON", script: `echo loud >&2; exit 3`, code: 102,
			words: []string{"exit status 3", "loud"}},
		{name: "a delegate prints garbage", script: `echo hello`, code: 102, words: []string{"result"}},
		{name: "a delegate prints garbage and exits with an error", script: `echo hello; exit 1`, code: 102,
			words: []string{"exit status 1", "hello"}},
		{name: "a delegate prints 100 MB", script: `exec head -c 100000000 /dev/zero`, code: 102,
			words: []string{"more than"}},
		{name: "a delegate prints 100 MB of errors",
			script: `head -c 100000000 /dev/zero >&2; echo '{"code": 142, "msg": "no room"}'; exit 1`,
			code:   102, words: []string{"no room"}},
		{name: "a delegate prints nothing", script: `:`, code: 102, words: []string{"result"}},
		{name: "a delegate's result is of another version",
			script: `echo '{"cniVersion": "0.3.1",
				"interfaces": [{"name": "'$CNI_IFNAME'", "sandbox": "'$CNI_NETNS'"}]}'`},
		{name: "a delegate's result is of an unknown version",
			script: `sed 's/"cniVersion": "[^"]*"/"cniVersion": "9.9.9"/' "$dir/result"`, code: 102,
			words: []string{"9.9.9"}},
		{name: "a delegate's result is for another interface", script: `sed "s/$CNI_IFNAME/eth7/" "$dir/result"`},
		{name: "a delegate is killed by a signal", script: `kill -KILL $$`, code: 102,
			words: []string{"signal: killed"}},
		{name: "a delegate lacks the execute bit", breakFile: func(path string) error { return os.Chmod(path, 0o644) },
			code: 102, words: []string{"execut"}},
		{name: "a delegate's file is not executable code",
			breakFile: func(path string) error { return os.WriteFile(path, []byte("hello"), 0o755) }, code: 102,
			words: []string{"exec format error"}},
	}
}

// A role is the place of the faulty delegate in a Pod.
type role struct {
	name, network, ifName string
	// prepare makes what the operation needs, and returns the interfaces that the Pod then has.
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
			del: func(t *testing.T, p *kactustest.Pod) error {
				return p.DelWith(t, p.AgentConf(), p.Agent("blue", ""))
			},
		},
	}
}

// rolesToTry returns all roles; in the short campaign only one for a delegate that hangs.
func (m misbehavior) rolesToTry() []role {
	if m.hangs && !*fullCampaign {
		return roles()[1:2]
	}
	return roles()
}

// newPod returns a Pod with the network green, and with blue if the role is auxiliary. The delegate
// of the role is the plugin faulty.
func (r role) newPod(t *testing.T, m misbehavior) *kactustest.Pod {
	t.Helper()
	tn := kactustest.NewTenant(t)
	if m.hangs {
		tn.Conf.DelegateTimeout = longDelegateTimeout
	}
	repairDelegate(t, tn)
	tn.CreateBridgeNetworks(t, "green")
	if r.ifName == "eth0" {
		tn.SetDelegates(`{"masterPlugin": true, ` + tn.BridgeConfigFor(t, "faulty", "faulty") + `}`)
		return tn.NewPod(t, `[{"name":"green"}]`)
	}
	tn.CreateNetwork(t, "blue", "{"+tn.BridgeConfigFor(t, "faulty", "blue")+"}")
	if r.name == "hot" {
		return tn.NewPod(t, `[{"name":"green"}]`)
	}
	return tn.NewPod(t, `[{"name":"green"},{"name":"blue"}]`)
}

// repairDelegate makes the plugin faulty behave.
func repairDelegate(t *testing.T, tn *kactustest.Tenant) {
	t.Helper()
	tn.AddScript(t, "faulty", "exec "+kactustest.PluginDir()+"/bridge\n")
	kactustest.Must(t, os.Chmod(filepath.Join(tn.Path[0], "faulty"), 0o755))
}

// breakDelegate makes the plugin faulty misbehave in that operation.
func breakDelegate(t *testing.T, tn *kactustest.Tenant, m misbehavior, operation string) {
	t.Helper()
	tn.AddScript(t, "faulty", `[ "$CNI_COMMAND" = `+operation+` ] || exec `+kactustest.PluginDir()+`/bridge
dir=`+tn.Dir+`
`+kactustest.PluginDir()+`/bridge >"$dir/result" || exit 1
`+m.script+"\n")
	if m.breakFile != nil {
		kactustest.Must(t, m.breakFile(filepath.Join(tn.Path[0], "faulty")))
	}
}

// tryEach tries each misbehavior in its roles. A row of the table has its name and suffix.
func tryEach(
	t *testing.T, all []misbehavior, suffix string, try func(misbehavior, *testing.T, *fault, role),
) {
	t.Helper()
	t.Parallel()
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			row := fault{name: m.name + suffix}
			for _, r := range m.rolesToTry() {
				try(m, t, &row, r)
			}
			row.report(t)
		})
	}
}

func TestFault_DelegateInAdd(t *testing.T) { tryEach(t, addMisbehaviors(), "", misbehavior.tryAdd) }

// tryAdd tries an ADD with the delegate: it must succeed, or fail with the delegate's words and
// roll back. The runtime's DEL must then leave nothing.
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
	err = p.DelWith(t, p.Conf, p.Runtime())
	if m.breakFile != nil { // a plugin that cannot be executed fails the DEL too, until it can
		repairDelegate(t, p.Tenant)
		err = p.DelWith(t, p.Conf, p.Runtime())
	}
	lost = append(lost, checkError(err, 0)...)
	lost = append(lost, deviations(t, p)...)
	row.count(t, "as the "+r.name+" delegate", time.Since(start), lost...)
}

// names returns what an error of the delegate names.
func (m misbehavior) names(r role) []string {
	if m.code == 0 {
		return nil
	}
	return []string{r.network, r.ifName, "faulty"}
}

// ifNames returns the interfaces of a Pod with the role's.
func (r role) ifNames(_ *kactustest.Pod) []string {
	if r.ifName == "eth0" {
		return []string{"eth0", kactustest.GreenIfName}
	}
	return []string{"eth0", kactustest.GreenIfName, kactustest.BlueIfName}
}

// checkProcesses returns what is wrong with the delegate's processes: what hung must have ended,
// with its children; a child that was left behind on purpose must not have. It ends all of them.
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
			lost = append(lost, "the process that was left behind on purpose has ended")
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
		{name: "a delegate hangs in DEL", script: `exec sleep 1000`, code: 102, words: []string{longDelegateTimeout},
			hangs: true},
		{name: "a delegate fails DEL once", script: `echo '{"code": 142, "msg": "stuck"}'; exit 1`, code: 102,
			words: []string{"stuck", "code 142"}},
		{name: "a delegate is killed by a signal in DEL", script: `kill -KILL $$`, code: 102,
			words: []string{"signal: killed"}},
		{name: "a delegate prints 100 MB in DEL", script: `head -c 100000000 /dev/zero; exit 1`, code: 102,
			words: []string{"exit status 1"}},
		{name: "a delegate disappears between ADD and DEL", breakFile: os.Remove, code: 102,
			words: []string{"missing"}},
		{name: "a delegate loses the execute bit between ADD and DEL",
			breakFile: func(path string) error { return os.Chmod(path, 0o644) }, code: 102, words: []string{"execut"}},
		{name: "a delegate's file is not executable code at DEL",
			breakFile: func(path string) error { return os.WriteFile(path, []byte("hello"), 0o755) }, code: 102,
			words: []string{"exec format error"}},
	}
}

func TestFault_DelegateInDel(t *testing.T) { tryEach(t, delMisbehaviors(), "", misbehavior.tryDel) }

// tryDel tries a DEL with the delegate: it must fail with the delegate's words, tear down
// everything else and keep the delegate's attachment in the ledger. When the delegate behaves
// again, the next DEL must leave nothing.
func (m misbehavior) tryDel(t *testing.T, row *fault, r role) {
	t.Helper()
	p := r.newPod(t, m)
	r.prepare(t, p)
	kactustest.Must(t, r.add(t, p))
	breakDelegate(t, p.Tenant, m, "DEL")
	start := time.Now()
	err := r.del(t, p)
	lost := checkError(err, m.code, append(m.words, m.names(r)...)...)
	lost = append(lost, checkOtherLeases(t, p, r)...)
	repairDelegate(t, p.Tenant)
	lost = append(lost, checkError(r.del(t, p), 0)...)
	lost = append(lost, checkError(p.DelWith(t, p.Conf, p.Runtime()), 0)...)
	lost = append(lost, deviations(t, p)...)
	row.count(t, "as the "+r.name+" delegate", time.Since(start), lost...)
}

// A runtime may send one DEL only. What fails then is torn down once the namespace is gone and the
// delegate behaves again: by the DEL of any other container, or by kactus gc.
func TestFault_DelegateInTheOnlyDel(t *testing.T) {
	tryEach(t, delMisbehaviors(), ", the only one", misbehavior.tryOnlyDel)
}

// tryOnlyDel tries one DEL with the delegate, and then a turn of kactus gc or, for an auxiliary
// one, the DEL of another Pod.
func (m misbehavior) tryOnlyDel(t *testing.T, row *fault, r role) {
	t.Helper()
	p := r.newPod(t, m)
	r.prepare(t, p)
	kactustest.Must(t, r.add(t, p))
	breakDelegate(t, p.Tenant, m, "DEL")
	start := time.Now()
	lost := checkError(p.DelWith(t, p.Conf, p.Runtime()), m.code, append(m.words, m.names(r)...)...)
	repairDelegate(t, p.Tenant)
	if r.name != "auxiliary" {
		lost = append(lost, reclaim(t, p)...)
	} else {
		p.LoseNetns()
		other := p.NewPod(t, `[]`)
		other.Add(t)
		other.Del(t)
	}
	lost = append(lost, deviations(t, p)...)
	row.count(t, "as the "+r.name+" delegate", time.Since(start), lost...)
}

// checkOtherLeases returns what is wrong with the leases of the other networks: a DEL of the Pod
// leaves none, a hot DEL all.
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

// reclaim runs kactus gc after the Pod's network namespace is gone too.
func reclaim(t *testing.T, p *kactustest.Pod) []string {
	t.Helper()
	p.LoseNetns()
	p.PretendReboot(t) // the kernel may have reused the namespace's inode number
	if out, code := p.Subcommand(t, "gc"); code != 0 {
		return []string{"kactus gc: " + out}
	}
	return nil
}

// A delegate that fails for minutes, or forever, does not hold up a Pod.
func TestFault_DelegateFailsEveryDel(t *testing.T) {
	t.Parallel()
	m := misbehavior{name: "a delegate fails DEL always", script: `echo '{"code": 142, "msg": "stuck"}'; exit 1`,
		code: 102, words: []string{"stuck"}}
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

// ageFailures makes the failures in the record look an hour old.
func ageFailures(t *testing.T, p *kactustest.Pod) {
	t.Helper()
	anHourAgo := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	p.EditRecord(t, func(record string) string {
		return failingSince.ReplaceAllString(record, `"failingSince":"`+anHourAgo+`"`)
	})
}
