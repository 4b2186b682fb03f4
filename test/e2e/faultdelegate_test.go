package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// misbehaviour is what a delegate does in place of what it should, for one verb.
type misbehaviour struct {
	name string
	// script goes on where the bridge plugin, whose result is in the file result, has done the verb's work.
	script string
	// spoil is done to the plugin's file; may be nil.
	spoil func(path string) error

	code  uint     // of kactus's error; zero: it succeeds
	words []string // of the delegate's own, or on what became of it
	// hangs: kactus waits for it; takes that long.
	hangs bool
}

const longDelegateTimeout = "5s" // for delegates that do work, on a machine that is slow

func addMisbehaviours() []misbehaviour {
	return []misbehaviour{
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
		{name: "a delegate lacks the execute bit", spoil: func(path string) error { return os.Chmod(path, 0o644) }, code: 102, words: []string{"may not be executed"}},
		{name: "a delegate's file is no program", spoil: func(path string) error { return os.WriteFile(path, []byte("hello"), 0o755) }, code: 102, words: []string{"exec format error"}},
	}
}

// role is where in a Pod a delegate is.
type role struct {
	name, network, device string
	// begin gets ready what the verb needs, and says with what devices the Pod is then.
	begin func(t *testing.T, p *pod) []string
	add   func(t *testing.T, p *pod) error
	del   func(t *testing.T, p *pod) error
}

func roles() []role {
	add := func(t *testing.T, p *pod) error { _, err := p.libcniAdd(t, p.conf, p.runtime()); return err }
	del := func(t *testing.T, p *pod) error { return p.libcniDel(t, p.conf, p.runtime()) }
	nothing := func(*testing.T, *pod) []string { return nil }
	return []role{
		{name: "master", network: defaultNet, device: "eth0", begin: nothing, add: add, del: del},
		{name: "auxiliary", network: "blue", device: blueDevice, begin: nothing, add: add, del: del},
		{
			name: "hot", network: "blue", device: blueDevice,
			begin: func(t *testing.T, p *pod) []string {
				p.add(t)
				return []string{"eth0", greenDevice}
			},
			add: func(t *testing.T, p *pod) error {
				_, err := p.libcniAdd(t, p.agentConf(), p.agent("blue", ""))
				return err
			},
			del: func(t *testing.T, p *pod) error { return p.libcniDel(t, p.agentConf(), p.agent("blue", "")) },
		},
	}
}

// rolesToTry are all; the short campaign does not wait more than once for what hangs.
func (m misbehaviour) rolesToTry() []role {
	if m.hangs && !*fullCampaign {
		return roles()[1:2]
	}
	return roles()
}

// faultyPod has the network green, and blue where the role is auxiliary. The delegate of the role is the plugin odd.
func (r role) faultyPod(t *testing.T, m misbehaviour) *pod {
	t.Helper()
	tn := newTenant(t)
	if m.hangs {
		tn.conf.DelegateTimeout = longDelegateTimeout
	}
	tn.well(t)
	tn.bridges(t, "green")
	if r.device == "eth0" {
		tn.delegates(`{"masterPlugin": true, ` + tn.oddBridge(t, "odd") + `}`)
		return tn.pod(t, `[{"name":"green"}]`)
	}
	tn.network(t, "blue", "{"+tn.oddBridge(t, "blue")+"}")
	if r.name == "hot" {
		return tn.pod(t, `[{"name":"green"}]`)
	}
	return tn.pod(t, `[{"name":"green"},{"name":"blue"}]`)
}

func (tn *tenant) oddBridge(t *testing.T, name string) string {
	t.Helper()
	return strings.Replace(tn.bridge(t, name), `"bridge"`, `"odd"`, 1)
}

// well makes odd do what it should.
func (tn *tenant) well(t *testing.T) {
	t.Helper()
	tn.script(t, "odd", "exec "+suite.plugins+"/bridge\n")
	succeed(t, os.Chmod(filepath.Join(tn.path[0], "odd"), 0o755))
}

// ill makes odd misbehave in that verb.
func (tn *tenant) ill(t *testing.T, m misbehaviour, verb string) {
	t.Helper()
	tn.script(t, "odd", `[ "$CNI_COMMAND" = `+verb+` ] || exec `+suite.plugins+`/bridge
dir=`+tn.dir+`
`+suite.plugins+`/bridge >"$dir/result" || exit 1
`+m.script+"\n")
	if m.spoil != nil {
		succeed(t, m.spoil(filepath.Join(tn.path[0], "odd")))
	}
}

func TestFaultDelegateInAdd(t *testing.T) {
	t.Parallel()
	for _, m := range addMisbehaviours() {
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
func (m misbehaviour) tryAdd(t *testing.T, row *fault, r role) {
	t.Helper()
	p := r.faultyPod(t, m)
	before := r.begin(t, p)
	p.ill(t, m, "ADD")
	start := time.Now()
	err := r.add(t, p)
	lost := unlike(err, m.code, append(m.words, m.namesOf(r)...)...)
	if m.code != 0 {
		lost = append(lost, p.amiss(t, before...)...)
	} else if wrong := p.amiss(t, r.devices(p)...); len(wrong) > 0 {
		lost = append(lost, wrong...)
	}
	lost = append(lost, p.endLeftProcesses(t, m)...)
	lost = append(lost, unlike(p.libcniDel(t, p.conf, p.runtime()), 0)...)
	lost = append(lost, p.amiss(t)...)
	row.count(t, "as the "+r.name+" delegate", time.Since(start), lost...)
}

// namesOf is what an error of the delegate names.
func (m misbehaviour) namesOf(r role) []string {
	if m.code == 0 {
		return nil
	}
	return []string{r.network, r.device, "odd"}
}

// devices are those that the Pod has with the role's.
func (r role) devices(p *pod) []string {
	if r.device == "eth0" {
		return []string{"eth0", greenDevice}
	}
	return []string{"eth0", greenDevice, blueDevice}
}

// endLeftProcesses: what hangs has ended, with its children; the child that a delegate left on purpose has not, and is ended here.
func (p *pod) endLeftProcesses(t *testing.T, m misbehaviour) []string {
	t.Helper()
	var lost []string
	for _, name := range []string{"hung", "child"} {
		path := filepath.Join(p.dir, name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		switch {
		case m.code == 0 && processEnded(t, path):
			lost = append(lost, "the process that was meant to stay has ended")
		case m.code == 0:
			endProcess(t, path)
		case !poll(t.Context(), func() bool { return processEnded(t, path) }):
			lost = append(lost, "the process "+name+" has not ended")
			endProcess(t, path)
		}
	}
	return lost
}

func delMisbehaviours() []misbehaviour {
	return []misbehaviour{
		{name: "a delegate hangs in DEL", script: `exec sleep 1000`, code: 102, words: []string{"did not end within " + longDelegateTimeout}, hangs: true},
		{name: "a delegate fails DEL once", script: `echo '{"code": 142, "msg": "stuck"}'; exit 1`, code: 102, words: []string{"stuck", "code 142"}},
		{name: "a delegate is killed by a signal in DEL", script: `kill -KILL $$`, code: 102, words: []string{"signal: killed"}},
		{name: "a delegate prints 100 MB in DEL", script: `head -c 100000000 /dev/zero; exit 1`, code: 102, words: []string{"exit status 1"}},
		{name: "a delegate disappears between ADD and DEL", spoil: os.Remove, code: 102, words: []string{"the plugin's binary is missing"}},
		{name: "a delegate loses the execute bit between ADD and DEL", spoil: func(path string) error { return os.Chmod(path, 0o644) }, code: 102, words: []string{"may not be executed"}},
		{name: "a delegate's file is no program at DEL", spoil: func(path string) error { return os.WriteFile(path, []byte("hello"), 0o755) }, code: 102, words: []string{"exec format error"}},
	}
}

func TestFaultDelegateInDel(t *testing.T) {
	t.Parallel()
	for _, m := range delMisbehaviours() {
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
func (m misbehaviour) tryDel(t *testing.T, row *fault, r role) {
	t.Helper()
	p := r.faultyPod(t, m)
	r.begin(t, p)
	succeed(t, r.add(t, p))
	p.ill(t, m, "DEL")
	start := time.Now()
	err := r.del(t, p)
	lost := m.unlikeDel(p, r, err)
	lost = append(lost, p.othersAmiss(t, r)...)
	p.well(t)
	if err == nil {
		lost = append(lost, p.collect(t)...)
	} else {
		lost = append(lost, unlike(r.del(t, p), 0)...)
		lost = append(lost, unlike(p.libcniDel(t, p.conf, p.runtime()), 0)...)
	}
	lost = append(lost, p.amiss(t)...)
	row.count(t, "as the "+r.name+" delegate", time.Since(start), lost...)
}

// unlikeDel is what a DEL's error is not. The Pod's DEL gives up a delegate that is gone; a hot DEL does not.
func (m misbehaviour) unlikeDel(p *pod, r role, err error) []string {
	if m.spoil != nil && r.name != "hot" {
		return unlike(err, 0)
	}
	return unlike(err, m.code, append(m.words, m.namesOf(r)...)...)
}

// othersAmiss: of the networks that are not the delegate's, a Pod's DEL leaves nothing, and a hot DEL all.
func (p *pod) othersAmiss(t *testing.T, r role) []string {
	t.Helper()
	want := map[string]int{defaultNet: 0, "green": 0}
	if r.name == "hot" {
		want = map[string]int{defaultNet: 1, "green": 1}
	}
	var wrong []string
	for network, leases := range want {
		if got := p.leases(t, network); network != r.network && len(got) != leases {
			wrong = append(wrong, "host-local has "+strings.Join(got, ", ")+" of "+network)
		}
	}
	return wrong
}

// collect is kactus gc when the Pod's network namespace is gone too.
func (p *pod) collect(t *testing.T) []string {
	t.Helper()
	loseNetns(t, p.netns)
	p.reboot(t) // the kernel may have given the namespace's number to another test's
	if out, code := p.byHand(t, "gc"); code != 0 {
		return []string{"kactus gc says " + out}
	}
	return nil
}

// A delegate that fails for minutes, and for ever, does not hold a Pod.
func TestFaultDelegateThatFailsEveryDel(t *testing.T) {
	t.Parallel()
	m := misbehaviour{name: "a delegate fails DEL always", script: `echo '{"code": 142, "msg": "stuck"}'; exit 1`, code: 102, words: []string{"stuck"}}
	row := fault{name: m.name}
	for _, r := range roles()[:2] {
		p := r.faultyPod(t, m)
		succeed(t, r.add(t, p))
		p.ill(t, m, "DEL")
		start := time.Now()
		var lost []string
		for range 2 {
			lost = append(lost, unlike(r.del(t, p), m.code, append(m.words, m.namesOf(r)...)...)...)
		}
		p.age(t)
		lost = append(lost, unlike(r.del(t, p), 0)...)
		lost = append(lost, p.othersAmiss(t, r)...)
		p.well(t)
		lost = append(lost, p.collect(t)...)
		lost = append(lost, p.amiss(t)...)
		row.count(t, "as the "+r.name+" delegate", time.Since(start), lost...)
	}
	row.report(t)
}

var failingSince = regexp.MustCompile(`"failingSince":"[^"]*"`)

// age makes the record's failures ones that began an hour ago.
func (p *pod) age(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(p.recordPath())
	succeed(t, err)
	old := failingSince.ReplaceAllString(string(data), `"failingSince":"`+time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)+`"`)
	succeed(t, os.WriteFile(p.recordPath(), []byte(old), 0o600))
}
