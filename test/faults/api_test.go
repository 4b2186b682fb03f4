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

// An apiFault is something that goes wrong with kactus's requests to the apiserver. One of down,
// silent, certificate and answer is set.
type apiFault struct {
	name string
	// down refuses connections; silent accepts them and never answers.
	down, silent bool
	certificate  func(*authority) (*tls.Certificate, error)
	answer       func(w http.ResponseWriter, r *http.Request, apiserver http.Handler)
	// path, if not empty, restricts answer to URLs that contain it.
	path string

	// code is the error code of an ADD during the fault, whose message contains words.
	code  uint
	words []string
	// transient faults are retried: an ADD succeeds if the fault ends in time. At others it fails
	// at once.
	transient bool
}

func apiFaults() []apiFault {
	return []apiFault{
		{name: "the apiserver is down", down: true, code: 11, transient: true},
		{name: "the apiserver accepts connections and is silent", silent: true, code: 11, transient: true},
		{name: "the apiserver resets the connection in the middle of an answer", answer: breakOff, code: 11,
			transient: true},
		{name: "the apiserver sends a byte a second", answer: trickle, code: 11, transient: true},
		{name: "the apiserver answers 401", answer: status(401), code: 100,
			words: []string{"401 Unauthorized", "from the proxy"}},
		{name: "the apiserver answers 403", answer: status(403), code: 100,
			words: []string{"403 Forbidden", "from the proxy"}},
		{name: "the apiserver answers 404", answer: status(404), code: 11,
			words: []string{"404 Not Found", "from the proxy"}},
		{name: "the apiserver answers 409", answer: status(409), code: 100,
			words: []string{"409 Conflict", "from the proxy"}},
		{name: "the apiserver answers 429 with Retry-After", answer: retryLater, code: 11, transient: true},
		{name: "the apiserver answers 500", answer: status(500), code: 11, transient: true},
		{name: "the apiserver answers 503", answer: status(503), code: 11, transient: true},
		{name: "the apiserver answers with an HTML page", answer: page, code: 100, words: []string{"GET "}},
		{name: "the apiserver answers with 100 MB", answer: flood, code: 100, words: []string{"too large"}},
		{name: "the apiserver's certificate has expired", code: 100, words: []string{"expired"},
			certificate: func(a *authority) (*tls.Certificate, error) {
				return a.issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
			}},
		{name: "the apiserver's certificate is for another name", code: 100, words: []string{"127.0.0.1"},
			certificate: func(a *authority) (*tls.Certificate, error) {
				return a.issue(func(c *x509.Certificate) {
					c.IPAddresses, c.DNSNames = nil, []string{"elsewhere.example"}
				})
			}},
		{name: "the apiserver's certificate is of another authority", code: 100, words: []string{"unknown authority"},
			certificate: func(*authority) (*tls.Certificate, error) {
				other, err := newAuthority()
				if err != nil {
					return nil, err
				}
				return other.issue(nil)
			}},
	}
}

func TestFault_API(t *testing.T) {
	t.Parallel()
	for _, f := range apiFaults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			row := fault{name: f.name}
			f.tryAll(t, &row, ownPod)
			if f.answer != nil {
				f.tryNetworks(t, &row)
			}
			row.report(t)
		})
	}
}

// tryNetworks tries the fault of the answers to GETs of a Pod's networks alone. The short campaign
// does so with NetworkAttachmentDefinitions that are attached hot.
func (f apiFault) tryNetworks(t *testing.T, row *fault) {
	if *fullCampaign {
		f.path = "/networks/"
		f.tryAll(t, row, ownPod)
	}
	f.path = "/network-attachment-definitions/"
	switch {
	case *fullCampaign:
		f.tryAll(t, row, npwgPod)
	case !f.slow():
		p := f.newPod(t, npwgPod)
		p.Add(t)
		f.tryHot(t, row, p, npwgPod)
		p.Del(t)
	}
}

// An apiPod is a Pod that meets a fault: its annotation, the network that this selects, and the one
// that is attached hot, as cut reads them.
type apiPod struct{ key, value, selected, hot string }

var (
	ownPod  = apiPod{"networks", `[{"name":"green"}]`, "green", "blue"}
	npwgPod = apiPod{kactustest.NPWGAnnotation, "lan", "lan@net1", "wan@wan0"}
)

func (f apiFault) newPod(t *testing.T, kind apiPod) *kactustest.Pod {
	t.Helper()
	tn := kactustest.NewTenant(t)
	tn.Conf.CNIVersion = "1.1.0"
	// 1.0.0 has no STATUS, which would be slow on a busy machine.
	tn.SetDelegates(`{"masterPlugin": true, "cniVersion": "1.0.0", ` + tn.BridgeConfig(t, "eth") + `}`)
	for _, element := range []string{kind.selected, kind.hot} {
		name, _, npwg := cut(element)
		if npwg {
			tn.CreateBridgeNADs(t, name)
		} else {
			tn.CreateBridgeNetworks(t, name)
		}
	}
	return tn.NewAnnotatedPod(t, map[string]string{kind.key: kind.value})
}

// tryAll tries each operation during the fault, and those that ask the apiserver also while it
// ends.
func (f apiFault) tryAll(t *testing.T, row *fault, kind apiPod) {
	p := f.newPod(t, kind)
	f.tryLasting(t, row, p, p.Conf, p.Runtime(), func(t *testing.T) []string { return traces(t, p) })
	p.Del(t)
	kactustest.Must(t, os.RemoveAll(p.LeaseDir())) // made by the delegates of the DEL
	result := f.tryEnding(t, row, p, p.Conf, p.Runtime(), func(t *testing.T) []string { return traces(t, p) })
	if lost := deviations(t, p, kind.before()...); len(lost) > 0 {
		t.Fatalf("after the ADD that followed the fault: %q", lost)
	}
	f.tryHot(t, row, p, kind)
	f.tryWithoutAPI(t, row, p, kind, result)
}

// before and after return the Pod's interfaces before and after the hot ADD.
func (k apiPod) before() []string { return ifNamesOf([]string{k.selected}) }
func (k apiPod) after() []string  { return ifNamesOf([]string{k.selected, k.hot}) }

// tryHot tries a hot ADD during the fault, and while it ends.
func (f apiFault) tryHot(t *testing.T, row *fault, p *kactustest.Pod, kind apiPod) {
	untouched := func(t *testing.T) []string { return deviations(t, p, kind.before()...) }
	conf, call := hotConf(p, kind.hot), hotCall(p, kind.hot)
	f.tryLasting(t, row, p, conf, call, untouched)
	if *fullCampaign || !f.slow() {
		f.tryEnding(t, row, p, conf, call, untouched)
	} else {
		_, err := p.Start(t, "ADD", conf, call).Wait(t)
		kactustest.Must(t, err)
	}
	if lost := deviations(t, p, kind.after()...); len(lost) > 0 {
		t.Fatalf("after the hot ADD that followed the fault: %q", lost)
	}
}

// slow reports whether kactus notices the fault only after ten seconds.
func (f apiFault) slow() bool { return f.silent || f.name == "the apiserver sends a byte a second" }

// through returns conf with the proxy as its apiserver.
func (f *proxy) through(t *testing.T, conf kactustest.NetConf, timeout string) kactustest.NetConf {
	t.Helper()
	conf.Kubeconfig, conf.APITimeout = f.kubeconfig(t, conf.Kubeconfig), timeout
	return conf
}

// tryLasting tries an ADD during the fault: it must fail with the right cause, touch nothing and
// keep to the memory limit.
func (f apiFault) tryLasting(t *testing.T, row *fault, p *kactustest.Pod, conf kactustest.NetConf, c kactustest.Call,
	touched func(*testing.T) []string) {
	t.Helper()
	timeout := "30s"
	if f.transient {
		timeout = "1s" // the fault stays the same however long it lasts
	}
	begin := time.Now()
	add := p.Start(t, "ADD", newProxy(t, f).through(t, conf, timeout), c)
	peak := add.Peak()
	_, err := add.Wait(t)
	lost := append(checkError(err, f.code, f.words...), touched(t)...)
	if peak >= kactustest.MemoryLimit {
		lost = append(lost, fmt.Sprintf("kactus needs %d MiB", peak))
	}
	row.count(t, "ADD for "+c.IfName+" while it lasts", time.Since(begin), lost...)
}

// tryEnding tries an ADD that begins during the fault, which then ends. At a transient fault the
// ADD must succeed; at others it must fail, and the next one succeed.
func (f apiFault) tryEnding(t *testing.T, row *fault, p *kactustest.Pod, conf kactustest.NetConf, c kactustest.Call,
	touched func(*testing.T) []string) json.RawMessage {
	t.Helper()
	px := newProxy(t, f)
	conf = px.through(t, conf, "60s")
	begin := time.Now()
	add := p.Start(t, "ADD", conf, c)
	if f.down {
		add.AwaitLock(t)
	} else {
		kactustest.Eventually(t, "kactus runs into the fault", func() bool { return px.met.Load() > 0 })
	}
	if !f.transient {
		_, err := add.Wait(t)
		row.count(t, "ADD for "+c.IfName+" in it", time.Since(begin),
			append(checkError(err, f.code, f.words...), touched(t)...)...)
	}
	px.endFault(t)
	if !f.transient {
		add = p.Start(t, "ADD", conf, c)
	}
	result, err := add.Wait(t)
	row.count(t, "ADD for "+c.IfName+" when it has ended", time.Since(begin), checkError(err, 0)...)
	return result
}

// tryWithoutAPI tries the operations that do not need the apiserver: they must succeed during the
// fault and not connect.
func (f apiFault) tryWithoutAPI(
	t *testing.T, row *fault, p *kactustest.Pod, kind apiPod, result json.RawMessage,
) {
	t.Helper()
	px := newProxy(t, f)
	node, agent := px.through(t, p.Conf, "30s"), px.through(t, hotConf(p, kind.hot), "30s")
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
	try("CHECK", run("CHECK", check, p.Runtime()), kind.after()...)
	try("STATUS", run("STATUS", node, p.Runtime()), kind.after()...)
	try("hot ADD of what is there", run("ADD", agent, hotCall(p, kind.hot)), kind.after()...)
	try("hot DEL", run("DEL", agent, hotCall(p, kind.hot)), kind.before()...)
	try("DEL", run("DEL", node, p.Runtime()))
	if n := px.connections.Load(); n > 0 {
		row.count(t, "operations that need no apiserver", 0, fmt.Sprintf("made %d connections", n))
	}
}

// status answers with that status code and a Status object, as the apiserver does.
func status(code int) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure",
			"code": %d, "message": "from the proxy"}`,
			code)
	}
}

func retryLater(w http.ResponseWriter, r *http.Request, apiserver http.Handler) {
	w.Header().Set("Retry-After", "1")
	status(429)(w, r, apiserver)
}

// breakOff sends half of the apiserver's answer and resets the connection.
func breakOff(w http.ResponseWriter, r *http.Request, apiserver http.Handler) {
	body := begin(w, r, apiserver)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	tcp := r.Context().Value(connection{}).(*tls.Conn).NetConn().(*net.TCPConn)
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
}

// trickle sends the apiserver's answer, one byte a second.
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

// begin sends the header of the apiserver's answer and returns its body.
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

// flood sends 100 MB that begin like a JSON object.
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
