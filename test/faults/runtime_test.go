package faults

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// At SIGTERM and SIGINT, kactus rolls back its ADD, or has completed it. The two signals alternate.
var terminations = killCampaign{
	operation: podAdd, fault: "SIGTERM or SIGINT at a system call of an ADD with three networks",
	signal: func(b boundary) syscall.Signal {
		if b.after {
			return syscall.SIGINT
		}
		return syscall.SIGTERM
	},
	next: func(t *testing.T, p *kactustest.Pod, succeeded bool) {
		if succeeded {
			expectAttached(t, p, three...)
		} else {
			expectClean(t, p)
		}
	},
}

func TestFault_RuntimeSignals(t *testing.T) {
	t.Parallel()
	terminations.runAll(t)
}

func TestFault_RuntimeStdin(t *testing.T) {
	t.Parallel()
	tn := newCampaignTenant(t)
	short, slow := fault{name: "stdin is closed, or ends early"}, fault{name: "stdin comes a byte at a time"}
	for name, v := range operations {
		for what, share := range map[string]int{"no netconf": 0, "half a netconf": 2} {
			short.try(t, name+" with "+what, func(t *testing.T) time.Duration {
				p := v.prepare(t, tn)
				netconf := kactustest.Encode(t, v.conf(p))
				begin := time.Now()
				_, err := kactustest.StartWith(t, netconf[:len(netconf)*share/4],
					p.Environ(v.command, v.call(p))...).Wait(t)
				kactustest.ExpectError(t, kactustest.CNIError(t, err), types.ErrDecodingFailure, "netconf")
				expectNetworks(t, p, v.before)
				v.run(t, p)
				return v.expectDone(t, p, begin)
			})
		}
		slow.try(t, name, func(t *testing.T) time.Duration {
			p := v.prepare(t, tn)
			begin := time.Now()
			r, stdin := v.startWithPipe(t, p)
			for _, b := range kactustest.Encode(t, v.conf(p)) {
				_, err := stdin.Write([]byte{b})
				kactustest.Must(t, err)
			}
			kactustest.Must(t, stdin.Close())
			_, err := r.Wait(t)
			kactustest.Must(t, err)
			return v.expectDone(t, p, begin)
		})
	}
	short.report(t)
	slow.report(t)
}

func TestFault_RuntimeStdinWithoutEnd(t *testing.T) {
	t.Parallel()
	f := fault{name: "stdin does not end"}
	type open struct {
		p     *kactustest.Pod
		begin time.Time
		r     *kactustest.Process
	}
	waiting := map[string]open{} // at the same time, because kactus waits for long
	for name, v := range operations {
		p := v.prepare(t, newCampaignTenant(t))
		begin := time.Now()
		r, stdin := v.startWithPipe(t, p)
		_, err := stdin.WriteString(`{"name":`)
		kactustest.Must(t, err)
		waiting[name] = open{p, begin, r}
	}
	for name, v := range operations {
		f.try(t, name, func(t *testing.T) time.Duration {
			o := waiting[name]
			_, err := o.r.Wait(t)
			kactustest.ExpectError(t, kactustest.CNIError(t, err), types.ErrIOFailure, "stdin")
			expectNetworks(t, o.p, v.before)
			v.run(t, o.p)
			return v.expectDone(t, o.p, o.begin)
		})
	}
	f.report(t)
}

// startWithPipe starts the operation with a stdin that stays open until the test closes the
// returned end.
func (v operation) startWithPipe(t *testing.T, p *kactustest.Pod) (*kactustest.Process, *os.File) {
	t.Helper()
	stdin, end, err := os.Pipe()
	kactustest.Must(t, err)
	defer stdin.Close()
	t.Cleanup(func() { _ = end.Close() }) // may be closed
	cmd := kactustest.Command(nil, p.Environ(v.command, v.call(p))...)
	cmd.Stdin = stdin
	return kactustest.StartCommand(t, cmd), end
}

// expectDone checks that the operation has been done, deletes the Pod, and returns the time since
// begin.
func (v operation) expectDone(t *testing.T, p *kactustest.Pod, begin time.Time) time.Duration {
	t.Helper()
	expectNetworks(t, p, v.after)
	took := time.Since(begin)
	p.Del(t)
	expectClean(t, p)
	return took
}

func TestFault_RuntimeStdout(t *testing.T) {
	t.Parallel()
	tn := newCampaignTenant(t)
	f := fault{name: "nobody reads stdout; then DEL, or hot ADD again"}
	for what, stdout := range map[string]func(*testing.T) *os.File{"is closed at the other end": brokenPipe,
		"is full": fullFile} {
		f.try(t, "ADD whose stdout "+what, func(t *testing.T) time.Duration {
			p := podAdd.prepare(t, tn)
			begin := time.Now()
			podAdd.expectNotPrinted(t, p, stdout(t), "eth0")
			expectAttached(t, p, podAdd.after...) // the runtime runs DEL after an ADD that failed
			p.Del(t)
			expectClean(t, p)
			return time.Since(begin)
		})
		f.try(t, "hot ADD whose stdout "+what, func(t *testing.T) time.Duration {
			p := hotAdd.prepare(t, tn)
			begin := time.Now()
			hotAdd.expectNotPrinted(t, p, stdout(t), kactustest.DataIfName)
			hotAdd.run(t, p)
			return hotAdd.expectDone(t, p, begin)
		})
		f.try(t, "ADD that fails and whose stdout "+what, func(t *testing.T) time.Duration {
			p := podDel.prepare(t, tn)
			begin := time.Now()
			podAdd.expectNotPrinted(t, p, stdout(t), "104", "eth0")
			expectAttached(t, p, podDel.before...)
			podDel.run(t, p)
			return podDel.expectDone(t, p, begin)
		})
		for name, v := range map[string]operation{"DEL": podDel, "hot DEL": hotDel} {
			f.try(t, name+" whose stdout "+what, func(t *testing.T) time.Duration {
				p := v.prepare(t, tn)
				begin := time.Now()
				if r := v.startPrintingTo(t, p, stdout(t)); r.Cmd.ProcessState.ExitCode() != 0 {
					t.Errorf("ended with %v although there is nothing to print: %s", r.Cmd.ProcessState, &r.Stderr)
				}
				return v.expectDone(t, p, begin)
			})
		}
	}
	f.report(t)
}

func brokenPipe(t *testing.T) *os.File {
	t.Helper()
	reader, writer, err := os.Pipe()
	kactustest.Must(t, err)
	kactustest.Must(t, reader.Close())
	return writer
}

func fullFile(t *testing.T) *os.File {
	t.Helper()
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	kactustest.Must(t, err)
	return file
}

// startPrintingTo runs the operation to its end with that stdout, and closes it.
func (v operation) startPrintingTo(t *testing.T, p *kactustest.Pod, stdout *os.File) *kactustest.Process {
	t.Helper()
	defer stdout.Close()
	cmd := kactustest.Command(kactustest.Encode(t, v.conf(p)), p.Environ(v.command, v.call(p))...)
	cmd.Stdout = stdout
	r := kactustest.StartCommand(t, cmd)
	<-r.Exited
	return r
}

// expectNotPrinted fails the test unless the operation ends by itself with an error, and with these
// words on stderr.
func (v operation) expectNotPrinted(t *testing.T, p *kactustest.Pod, stdout *os.File, words ...string) {
	t.Helper()
	r := v.startPrintingTo(t, p, stdout)
	if code := r.Cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("kactus ended with %v; want exit code 1", r.Cmd.ProcessState)
	}
	for _, word := range append(words, "print") {
		if !strings.Contains(r.Stderr.String(), word) {
			t.Errorf("stderr %q; want %q in it", &r.Stderr, word)
		}
	}
}
