package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"
)

// apiFault is what becomes of what kactus asks the apiserver. One of down, silent, certificate and answer is set.
type apiFault struct {
	name string
	// down refuses connections; silent accepts them, and says nothing.
	down, silent bool
	certificate  func(*authority) (*tls.Certificate, error)
	answer       func(w http.ResponseWriter, r *http.Request, apiserver http.Handler)
	// path is a part of the URLs that are answered so; empty: all are.
	path string

	// code is that of an ADD while it lasts, and says what its message has.
	code uint
	says string
	// passes: an ADD that begins in it succeeds when it ends in time; else it fails at once.
	passes bool
}

func apiFaults() []apiFault {
	return []apiFault{
		{name: "the apiserver is down", down: true, code: 11, passes: true},
		{name: "the apiserver accepts connections and is silent", silent: true, code: 11, passes: true},
		{name: "the apiserver resets the connection in the middle of an answer", answer: breakOff, code: 11, passes: true},
		{name: "the apiserver sends a byte a second", answer: trickle, code: 11, passes: true},
		{name: "the apiserver answers 401", answer: status(401), code: 100, says: "401 Unauthorized: of the front"},
		{name: "the apiserver answers 403", answer: status(403), code: 100, says: "403 Forbidden: of the front"},
		{name: "the apiserver answers 404", answer: status(404), code: 11, says: "404 Not Found: of the front"},
		{name: "the apiserver answers 409", answer: status(409), code: 100, says: "409 Conflict: of the front"},
		{name: "the apiserver answers 429 with Retry-After", answer: retryLater, code: 11, passes: true},
		{name: "the apiserver answers 500", answer: status(500), code: 11, passes: true},
		{name: "the apiserver answers 503", answer: status(503), code: 11, passes: true},
		{name: "the apiserver answers with an HTML page", answer: page, code: 100, says: "read what GET "},
		{name: "the apiserver answers with 100 MB", answer: flood, code: 100, says: "the answers are too long"},
		{name: "the apiserver's certificate has expired", code: 100, says: "expired", certificate: func(a *authority) (*tls.Certificate, error) {
			return a.issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		}},
		{name: "the apiserver's certificate is for another name", code: 100, says: "127.0.0.1", certificate: func(a *authority) (*tls.Certificate, error) {
			return a.issue(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"elsewhere.example"} })
		}},
		{name: "the apiserver's certificate is of another authority", code: 100, says: "unknown authority", certificate: func(*authority) (*tls.Certificate, error) {
			other, err := newAuthority()
			if err != nil {
				return nil, err
			}
			return other.issue(nil)
		}},
	}
}

func TestFaultAPI(t *testing.T) {
	t.Parallel()
	for _, f := range apiFaults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			row := fault{name: f.name}
			f.tryAll(t, &row)
			if *fullCampaign && f.answer != nil {
				f.path = "/networks/"
				f.tryAll(t, &row)
			}
			row.report(t)
		})
	}
}

// tryAll tries each verb while the fault lasts, and those that ask the apiserver also where it ends.
func (f apiFault) tryAll(t *testing.T, row *fault) {
	tn := newTenant(t)
	tn.conf.CNIVersion = "1.1.0"
	tn.delegates(`{"masterPlugin": true, "cniVersion": "1.0.0", ` + tn.bridge(t, "eth") + `}`) // without a STATUS of its own, which is slow where the machine is
	tn.bridges(t, "green", "blue")
	p := tn.pod(t, `[{"name":"green"}]`)
	f.tryLasting(t, row, p, p.conf, p.runtime(), p.touched)
	p.del(t)
	succeed(t, os.RemoveAll(p.leaseDir())) // the DEL has run delegates
	result := f.tryEnding(t, row, p, p.conf, p.runtime(), p.touched)
	if lost := p.amiss(t, "eth0", greenDevice); len(lost) > 0 {
		t.Fatalf("the ADD that came when the fault had ended made something else: %q", lost)
	}

	hotUntouched := func(t *testing.T) []string { return p.amiss(t, "eth0", greenDevice) }
	f.tryLasting(t, row, p, p.agentConf(), p.agent("blue", ""), hotUntouched)
	if *fullCampaign || !f.slow() {
		f.tryEnding(t, row, p, p.agentConf(), p.agent("blue", ""), hotUntouched)
	} else {
		p.hotAdd(t, "blue")
	}
	if lost := p.amiss(t, "eth0", greenDevice, blueDevice); len(lost) > 0 {
		t.Fatalf("the hot ADD that came when the fault had ended made something else: %q", lost)
	}
	f.tryUnasked(t, row, p, result)
}

// slow says whether kactus notices the fault only when it has waited for ten seconds.
func (f apiFault) slow() bool { return f.silent || f.name == "the apiserver sends a byte a second" }

// through is conf with the front for its apiserver.
func (f *front) through(t *testing.T, conf netconf, timeout string) netconf {
	t.Helper()
	conf.Kubeconfig, conf.APITimeout = f.kubeconfig(t, conf.Kubeconfig), timeout
	return conf
}

// tryLasting: while the fault lasts, an ADD fails, with its cause, and touches nothing, and needs no more memory than kactus may.
func (f apiFault) tryLasting(t *testing.T, row *fault, p *pod, conf netconf, c call, touched func(*testing.T) []string) {
	t.Helper()
	timeout := "30s"
	if f.passes {
		timeout = "1s" // the fault is the same however long it lasts
	}
	begin := time.Now()
	add := p.start(t, "ADD", newFront(t, f).through(t, conf, timeout), c)
	peak := add.peak(t)
	_, err := add.wait(t)
	lost := append(unlike(err, f.code, f.says), touched(t)...)
	const most = 64 // MiB
	if peak >= most {
		lost = append(lost, fmt.Sprintf("kactus needs %d MiB", peak))
	}
	row.count(t, "ADD for "+c.device+" while it lasts", time.Since(begin), lost...)
}

// tryEnding: an ADD that began in the fault succeeds where it is worth waiting; else it fails, and the next one succeeds.
func (f apiFault) tryEnding(t *testing.T, row *fault, p *pod, conf netconf, c call, touched func(*testing.T) []string) json.RawMessage {
	t.Helper()
	front := newFront(t, f)
	conf = front.through(t, conf, "60s")
	begin := time.Now()
	add := p.start(t, "ADD", conf, c)
	if f.down {
		add.waitsForLock(t)
	} else {
		eventually(t, "kactus meets the fault", func() bool { return front.met.Load() > 0 })
	}
	if !f.passes {
		_, err := add.wait(t)
		row.count(t, "ADD for "+c.device+" in it", time.Since(begin), append(unlike(err, f.code, f.says), touched(t)...)...)
	}
	front.end(t)
	if !f.passes {
		add = p.start(t, "ADD", conf, c)
	}
	result, err := add.wait(t)
	row.count(t, "ADD for "+c.device+" when it has ended", time.Since(begin), unlike(err, 0)...)
	return result
}

// tryUnasked: the verbs that ask the apiserver nothing succeed while the fault lasts, and do not meet it.
func (f apiFault) tryUnasked(t *testing.T, row *fault, p *pod, result json.RawMessage) {
	t.Helper()
	front := newFront(t, f)
	node, agent := front.through(t, p.conf, "30s"), front.through(t, p.agentConf(), "30s")
	try := func(what string, verb func() error, devices ...string) {
		begin := time.Now()
		err := verb()
		row.count(t, what, time.Since(begin), append(unlike(err, 0), p.amiss(t, devices...)...)...)
	}
	run := func(verb string, conf any, c call) func() error {
		return func() error {
			_, err := p.start(t, verb, conf, c).wait(t)
			return err
		}
	}
	check := struct {
		netconf
		PrevResult json.RawMessage `json:"prevResult"`
	}{node, result}
	try("CHECK", run("CHECK", check, p.runtime()), "eth0", greenDevice, blueDevice)
	try("STATUS", run("STATUS", node, p.runtime()), "eth0", greenDevice, blueDevice)
	try("hot ADD of what is there", run("ADD", agent, p.agent("blue", "")), "eth0", greenDevice, blueDevice)
	try("hot DEL", run("DEL", agent, p.agent("blue", "")), "eth0", greenDevice)
	try("DEL", run("DEL", node, p.runtime()))
	if n := front.connections.Load(); n > 0 {
		row.count(t, "verbs that need no apiserver", 0, fmt.Sprintf("they made %d connections", n))
	}
}

// status answers with that status, and a Status as the apiserver has them.
func status(code int) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "of the front", "code": %d}`, code)
	}
}

func retryLater(w http.ResponseWriter, r *http.Request, apiserver http.Handler) {
	w.Header().Set("Retry-After", "1")
	status(429)(w, r, apiserver)
}

// breakOff sends half of the apiserver's answer, and resets the connection.
func breakOff(w http.ResponseWriter, r *http.Request, apiserver http.Handler) {
	body := begin(w, r, apiserver)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	tcp := r.Context().Value(connection{}).(*tls.Conn).NetConn().(*net.TCPConn)
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
}

// trickle sends the apiserver's answer, a byte a second.
func trickle(w http.ResponseWriter, r *http.Request, apiserver http.Handler) {
	for _, b := range begin(w, r, apiserver) {
		_, _ = w.Write([]byte{b})
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
			return
		}
	}
}

// begin sends the head of the apiserver's answer, and gives its body.
func begin(w http.ResponseWriter, r *http.Request, apiserver http.Handler) []byte {
	answer := httptest.NewRecorder()
	apiserver.ServeHTTP(answer, r)
	w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
	w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()))
	w.WriteHeader(answer.Code)
	return answer.Body.Bytes()
}

func page(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<!DOCTYPE html><title>Log in</title><p>Please log in to the network.")
}

// flood sends a hundred million bytes that begin as an object does.
func flood(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	_, _ = io.WriteString(w, `{"metadata": {"annotations": {"x": "`)
	block := make([]byte, 1<<16)
	for i := range block {
		block[i] = 'x'
	}
	for sent := 0; sent < 100e6; sent += len(block) {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}
