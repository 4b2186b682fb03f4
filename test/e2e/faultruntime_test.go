package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
)

// toldToEnd: kactus undoes by itself what its ADD has made, or has made all. Of two boundaries next to each other, one is SIGTERM's and one SIGINT's.
var toldToEnd = killing{
	podVerb: podAdd, fault: "SIGTERM or SIGINT at a system call of an ADD with three networks",
	signal: func(b boundary) syscall.Signal {
		if b.after {
			return syscall.SIGINT
		}
		return syscall.SIGTERM
	},
	next: func(t *testing.T, p *pod, succeeded bool) {
		if succeeded {
			p.expectWhole(t, three...)
		} else {
			p.expectClean(t)
		}
	},
}

func TestFaultRuntimeSignals(t *testing.T) {
	t.Parallel()
	toldToEnd.campaign(t)
}

func TestFaultRuntimeStdin(t *testing.T) {
	t.Parallel()
	tn := newCampaignTenant(t)
	short, slow := fault{name: "stdin is closed, or ends early"}, fault{name: "stdin comes a byte at a time"}
	for name, v := range podVerbs {
		for what, share := range map[string]int{"no netconf": 0, "half a netconf": 2} {
			short.try(t, name+" with "+what, func(t *testing.T) time.Duration {
				p := v.begin(t, tn)
				netconf := encode(t, v.conf(p))
				begin := time.Now()
				_, err := startWith(t, netconf[:len(netconf)*share/4], p.environ(v.verb, v.call(p))...).wait(t)
				expectError(t, cniError(t, err), types.ErrDecodingFailure, "netconf")
				p.expectNetworks(t, v.before)
				v.do(t, p)
				return v.end(t, p, begin)
			})
		}
		slow.try(t, name, func(t *testing.T) time.Duration {
			p := v.begin(t, tn)
			begin := time.Now()
			r, stdin := v.startWithPipe(t, p)
			for _, b := range encode(t, v.conf(p)) {
				_, err := stdin.Write([]byte{b})
				succeed(t, err)
			}
			succeed(t, stdin.Close())
			_, err := r.wait(t)
			succeed(t, err)
			return v.end(t, p, begin)
		})
	}
	short.report(t)
	slow.report(t)
}

func TestFaultRuntimeStdinWithoutEnd(t *testing.T) {
	t.Parallel()
	f := fault{name: "stdin does not end"}
	type open struct {
		p     *pod
		begin time.Time
		r     *running
	}
	waiting := map[string]open{} // all at once, as the time that kactus waits is long
	for name, v := range podVerbs {
		p := v.begin(t, newCampaignTenant(t))
		begin := time.Now()
		r, stdin := v.startWithPipe(t, p)
		_, err := stdin.WriteString(`{"name":`)
		succeed(t, err)
		waiting[name] = open{p, begin, r}
	}
	for name, v := range podVerbs {
		f.try(t, name, func(t *testing.T) time.Duration {
			o := waiting[name]
			_, err := o.r.wait(t)
			expectError(t, cniError(t, err), types.ErrIOFailure, "stdin", "did not end")
			o.p.expectNetworks(t, v.before)
			v.do(t, o.p)
			return v.end(t, o.p, o.begin)
		})
	}
	f.report(t)
}

// startWithPipe runs the verb with a stdin that is open as long as the test's end is.
func (v podVerb) startWithPipe(t *testing.T, p *pod) (*running, *os.File) {
	t.Helper()
	stdin, end, err := os.Pipe()
	succeed(t, err)
	defer stdin.Close()
	t.Cleanup(func() { _ = end.Close() }) // it may be closed
	cmd := kactusCommand(nil, p.environ(v.verb, v.call(p))...)
	cmd.Stdin = stdin
	return startCommand(t, cmd), end
}

// end is where the verb has been done, after something else that began then.
func (v podVerb) end(t *testing.T, p *pod, begin time.Time) time.Duration {
	t.Helper()
	p.expectNetworks(t, v.after)
	took := time.Since(begin)
	p.del(t)
	p.expectClean(t)
	return took
}

func TestFaultRuntimeStdout(t *testing.T) {
	t.Parallel()
	tn := newCampaignTenant(t)
	f := fault{name: "nobody reads stdout; then DEL, or hot ADD again"}
	for what, stdout := range map[string]func(*testing.T) *os.File{"is closed at the other end": brokenPipe, "is full": fullFile} {
		f.try(t, "ADD whose stdout "+what, func(t *testing.T) time.Duration {
			p := podAdd.begin(t, tn)
			begin := time.Now()
			podAdd.expectUnprinted(t, p, stdout(t), "eth0")
			p.expectWhole(t, podAdd.after...) // for the DEL, that the runtime has for an ADD that failed
			p.del(t)
			p.expectClean(t)
			return time.Since(begin)
		})
		f.try(t, "hot ADD whose stdout "+what, func(t *testing.T) time.Duration {
			p := hotAdd.begin(t, tn)
			begin := time.Now()
			hotAdd.expectUnprinted(t, p, stdout(t), dataDevice)
			hotAdd.do(t, p)
			return hotAdd.end(t, p, begin)
		})
		f.try(t, "ADD that fails and whose stdout "+what, func(t *testing.T) time.Duration {
			p := podDel.begin(t, tn)
			begin := time.Now()
			podAdd.expectUnprinted(t, p, stdout(t), "104", "eth0")
			p.expectWhole(t, podDel.before...)
			podDel.do(t, p)
			return podDel.end(t, p, begin)
		})
		for name, v := range map[string]podVerb{"DEL": podDel, "hot DEL": hotDel} {
			f.try(t, name+" whose stdout "+what, func(t *testing.T) time.Duration {
				p := v.begin(t, tn)
				begin := time.Now()
				if r := v.startPrintingTo(t, p, stdout(t)); r.cmd.ProcessState.ExitCode() != 0 {
					t.Errorf("what has nothing to print ends with %v: %s", r.cmd.ProcessState, &r.stderr)
				}
				return v.end(t, p, begin)
			})
		}
	}
	f.report(t)
}

func brokenPipe(t *testing.T) *os.File {
	t.Helper()
	reader, writer, err := os.Pipe()
	succeed(t, err)
	succeed(t, reader.Close())
	return writer
}

func fullFile(t *testing.T) *os.File {
	t.Helper()
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	succeed(t, err)
	return file
}

// startPrintingTo runs the verb to its end, and closes stdout.
func (v podVerb) startPrintingTo(t *testing.T, p *pod, stdout *os.File) *running {
	t.Helper()
	defer stdout.Close()
	cmd := kactusCommand(encode(t, v.conf(p)), p.environ(v.verb, v.call(p))...)
	cmd.Stdout = stdout
	r := startCommand(t, cmd)
	<-r.exited
	return r
}

// expectUnprinted: the verb ends by itself with an error, and with these words on stderr.
func (v podVerb) expectUnprinted(t *testing.T, p *pod, stdout *os.File, words ...string) {
	t.Helper()
	r := v.startPrintingTo(t, p, stdout)
	if code := r.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("kactus ends with %v; want the exit code 1", r.cmd.ProcessState)
	}
	for _, word := range append(words, "print") {
		if !strings.Contains(r.stderr.String(), word) {
			t.Errorf("stderr has %q; want %q in it", &r.stderr, word)
		}
	}
}
