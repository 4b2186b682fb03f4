package faults

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

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
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
	code    uint
	message string
	// passes: an ADD that begins in it succeeds when it ends in time; else it fails at once.
	transient bool
}

func apiFaults() []apiFault {
	return []apiFault{
		{name: "the apiserver is down", down: true, code: 11, transient: true},
		{name: "the apiserver accepts connections and is silent", silent: true, code: 11, transient: true},
		{name: "the apiserver resets the connection in the middle of an answer", answer: breakOff, code: 11, transient: true},
		{name: "the apiserver sends a byte a second", answer: trickle, code: 11, transient: true},
		{name: "the apiserver answers 401", answer: status(401), code: 100, message: "401 Unauthorized: of the front"},
		{name: "the apiserver answers 403", answer: status(403), code: 100, message: "403 Forbidden: of the front"},
		{name: "the apiserver answers 404", answer: status(404), code: 11, message: "404 Not Found: of the front"},
		{name: "the apiserver answers 409", answer: status(409), code: 100, message: "409 Conflict: of the front"},
		{name: "the apiserver answers 429 with Retry-After", answer: retryLater, code: 11, transient: true},
		{name: "the apiserver answers 500", answer: status(500), code: 11, transient: true},
		{name: "the apiserver answers 503", answer: status(503), code: 11, transient: true},
		{name: "the apiserver answers with an HTML page", answer: page, code: 100, message: "read what GET "},
		{name: "the apiserver answers with 100 MB", answer: flood, code: 100, message: "the answers are too long"},
		{name: "the apiserver's certificate has expired", code: 100, message: "expired", certificate: func(a *authority) (*tls.Certificate, error) {
			return a.issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		}},
		{name: "the apiserver's certificate is for another name", code: 100, message: "127.0.0.1", certificate: func(a *authority) (*tls.Certificate, error) {
			return a.issue(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"elsewhere.example"} })
		}},
		{name: "the apiserver's certificate is of another authority", code: 100, message: "unknown authority", certificate: func(*authority) (*tls.Certificate, error) {
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
	tn := kactustest.NewTenant(t)
	tn.Conf.CNIVersion = "1.1.0"
	tn.SetDelegates(`{"masterPlugin": true, "cniVersion": "1.0.0", ` + tn.BridgeConfig(t, "eth") + `}`) // without a STATUS of its own, which is slow where the machine is
	tn.CreateBridgeNetworks(t, "green", "blue")
	p := tn.NewPod(t, `[{"name":"green"}]`)
	f.tryLasting(t, row, p, p.Conf, p.Runtime(), func(t *testing.T) []string { return traces(t, p) })
	p.Del(t)
	kactustest.Must(t, os.RemoveAll(p.LeaseDir())) // the DEL has run delegates
	result := f.tryEnding(t, row, p, p.Conf, p.Runtime(), func(t *testing.T) []string { return traces(t, p) })
	if lost := deviations(t, p, "eth0", kactustest.GreenIfName); len(lost) > 0 {
		t.Fatalf("the ADD that came when the fault had ended made something else: %q", lost)
	}

	hotUntouched := func(t *testing.T) []string { return deviations(t, p, "eth0", kactustest.GreenIfName) }
	f.tryLasting(t, row, p, p.AgentConf(), p.Agent("blue", ""), hotUntouched)
	if *fullCampaign || !f.slow() {
		f.tryEnding(t, row, p, p.AgentConf(), p.Agent("blue", ""), hotUntouched)
	} else {
		p.HotAdd(t, "blue")
	}
	if lost := deviations(t, p, "eth0", kactustest.GreenIfName, kactustest.BlueIfName); len(lost) > 0 {
		t.Fatalf("the hot ADD that came when the fault had ended made something else: %q", lost)
	}
	f.tryWithoutAPI(t, row, p, result)
}

// slow says whether kactus notices the fault only when it has waited for ten seconds.
func (f apiFault) slow() bool { return f.silent || f.name == "the apiserver sends a byte a second" }

// through is conf with the front for its apiserver.
func (f *proxy) through(t *testing.T, conf kactustest.NetConf, timeout string) kactustest.NetConf {
	t.Helper()
	conf.Kubeconfig, conf.APITimeout = f.kubeconfig(t, conf.Kubeconfig), timeout
	return conf
}

// tryLasting: while the fault lasts, an ADD fails, with its cause, and touches nothing, and needs no more memory than kactus may.
func (f apiFault) tryLasting(t *testing.T, row *fault, p *kactustest.Pod, conf kactustest.NetConf, c kactustest.Call, touched func(*testing.T) []string) {
	t.Helper()
	timeout := "30s"
	if f.transient {
		timeout = "1s" // the fault is the same however long it lasts
	}
	begin := time.Now()
	add := p.Start(t, "ADD", newProxy(t, f).through(t, conf, timeout), c)
	peak := add.Peak()
	_, err := add.Wait(t)
	lost := append(checkError(err, f.code, f.message), touched(t)...)
	const most = 64 // MiB
	if peak >= most {
		lost = append(lost, fmt.Sprintf("kactus needs %d MiB", peak))
	}
	row.count(t, "ADD for "+c.IfName+" while it lasts", time.Since(begin), lost...)
}

// tryEnding: an ADD that began in the fault succeeds where it is worth waiting; else it fails, and the next one succeeds.
func (f apiFault) tryEnding(t *testing.T, row *fault, p *kactustest.Pod, conf kactustest.NetConf, c kactustest.Call, touched func(*testing.T) []string) json.RawMessage {
	t.Helper()
	front := newProxy(t, f)
	conf = front.through(t, conf, "60s")
	begin := time.Now()
	add := p.Start(t, "ADD", conf, c)
	if f.down {
		add.AwaitLock(t)
	} else {
		kactustest.Eventually(t, "kactus meets the fault", func() bool { return front.met.Load() > 0 })
	}
	if !f.transient {
		_, err := add.Wait(t)
		row.count(t, "ADD for "+c.IfName+" in it", time.Since(begin), append(checkError(err, f.code, f.message), touched(t)...)...)
	}
	front.endFault(t)
	if !f.transient {
		add = p.Start(t, "ADD", conf, c)
	}
	result, err := add.Wait(t)
	row.count(t, "ADD for "+c.IfName+" when it has ended", time.Since(begin), checkError(err, 0)...)
	return result
}

// tryUnasked: the verbs that ask the apiserver nothing succeed while the fault lasts, and do not meet it.
func (f apiFault) tryWithoutAPI(t *testing.T, row *fault, p *kactustest.Pod, result json.RawMessage) {
	t.Helper()
	front := newProxy(t, f)
	node, agent := front.through(t, p.Conf, "30s"), front.through(t, p.AgentConf(), "30s")
	try := func(what string, operation func() error, ifNames ...string) {
		begin := time.Now()
		err := operation()
		row.count(t, what, time.Since(begin), append(checkError(err, 0), deviations(t, p, ifNames...)...)...)
	}
	run := func(operation string, conf any, c kactustest.Call) func() error {
		return func() error {
			_, err := p.Start(t, operation, conf, c).Wait(t)
			return err
		}
	}
	check := struct {
		kactustest.NetConf
		PrevResult json.RawMessage `json:"prevResult"`
	}{node, result}
	try("CHECK", run("CHECK", check, p.Runtime()), "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
	try("STATUS", run("STATUS", node, p.Runtime()), "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
	try("hot ADD of what is there", run("ADD", agent, p.Agent("blue", "")), "eth0", kactustest.GreenIfName, kactustest.BlueIfName)
	try("hot DEL", run("DEL", agent, p.Agent("blue", "")), "eth0", kactustest.GreenIfName)
	try("DEL", run("DEL", node, p.Runtime()))
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
