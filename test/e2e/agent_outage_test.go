package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// A line is a way to the apiserver that can be cut.
type line struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func newLine(t *testing.T) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	kactustest.Must(t, err)
	target, err := url.Parse(kactustest.ControlPlane().URL())
	kactustest.Must(t, err)
	l := &line{listener: listener, target: target.Host, conns: map[net.Conn]bool{}}
	go l.accept()
	t.Cleanup(func() {
		listener.Close()
		l.set(true)
	})
	return l
}

func (l *line) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.forward(conn)
	}
}

func (l *line) forward(conn net.Conn) {
	defer conn.Close()
	apiserver, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer apiserver.Close()
	if !l.keep(conn) {
		return
	}
	go func() {
		_, _ = io.Copy(apiserver, conn)
		apiserver.Close()
	}()
	_, _ = io.Copy(conn, apiserver)
}

// keep notes a connection, and reports whether it may be.
func (l *line) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[conn] = true
	return !l.cut
}

// set cuts the line, with all connections, or mends it.
func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if !cut {
		return
	}
	for conn := range l.conns {
		conn.Close()
	}
	clear(l.conns)
}

// kubeconfig replaces the apiserver in a kubeconfig by the line.
func (l *line) kubeconfig(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	kactustest.Must(t, err)
	content = []byte(kactustest.ReplaceServer(string(content), "https://"+l.listener.Addr().String()))
	path = filepath.Join(t.TempDir(), filepath.Base(path))
	kactustest.Must(t, os.WriteFile(path, content, 0o600))
	return path
}

func TestAgent_Outage(t *testing.T) {
	t.Parallel()
	tn := kactustest.NewTenant(t)
	tn.CreateBridgeNetworks(t, "green", "blue", "data")
	p := newRunningPod(t, tn, `[{"name":"green"}]`)
	l := newLine(t)
	tn.Conf.Kubeconfig = l.kubeconfig(t, tn.Conf.Kubeconfig)
	address := fmt.Sprintf("127.0.0.1:%d", 20000+tn.Number)
	tn.StartNodeAgent(t, "-listen", address, often,
		"-kubeconfig", l.kubeconfig(t, tn.NewKubeconfig(t, "agent-through-line", kactustest.NodeAgentToken)))
	status := func(want int) func() bool {
		return func() bool {
			got, _ := get(t, "http://"+address+"/readyz")
			return got == want
		}
	}
	p.Annotate(t, `[{"name":"green"},{"name":"blue"}]`)
	p.EventuallyAttached(t, "eth0", green, blue)
	p.EventuallyCondition(t, "True", "Attached")
	kactustest.Eventually(t, "the agent is ready", status(http.StatusOK))

	l.set(true)
	kactustest.Eventually(t, "the agent says that it is cut off", status(http.StatusServiceUnavailable))
	before := p.Indices(t)
	p.Annotate(t, `[{"name":"green"},{"name":"data"}]`)
	p.DeleteLink(t, blue) // to repair that takes an apiserver, too
	p.ExpectKept(t, before, "eth0", green)

	l.set(false)
	p.EventuallyAttached(t, "eth0", green, data)
	p.ExpectKept(t, before, "eth0", green)
	p.EventuallyCondition(t, "True", "Attached")
	kactustest.Eventually(t, "the agent is ready again", status(http.StatusOK))
	p.Del(t)
	p.ExpectGone(t)
}
