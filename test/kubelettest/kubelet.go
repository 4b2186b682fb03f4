// Package kubelettest stands in for the pod-resources API of a kubelet, for the faults that a real
// one cannot be made to have. The tests of test/system use a real one.
package kubelettest

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// Answer is what a kubelet answers to a call.
type Answer struct {
	// Message is a message of protobuf.
	Message []byte
	// Status is the status of gRPC, zero for OK, and Text says why.
	Status int
	Text   string
}

// Serve answers the calls of gRPC at a socket until the test ends, and returns the socket's path.
// The method is Get or List.
func Serve(t testing.TB, answer func(method string, request []byte) Answer) (socket string) {
	t.Helper()
	return ServeHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) < 5 || r.Header.Get("Te") != "trailers" || r.ProtoMajor != 2 {
			t.Errorf("a call that is not gRPC: %v, %d bytes, header %v, %v", r.Proto, len(body), r.Header, err)
			return
		}
		Write(w, answer(strings.TrimPrefix(r.URL.Path, "/v1.PodResourcesLister/"), body[5:]))
	}))
}

// ServeHTTP serves HTTP/2 at a socket until the test ends, and returns the socket's path.
func ServeHTTP(t testing.TB, handler http.Handler) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "k") // and not t.TempDir, whose path may be longer than a socket's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, Protocols: &http.Protocols{}}
	server.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return socket
}

// Write writes an answer as grpc-go does: one that is not OK has no body, and its status in the
// header.
func Write(w http.ResponseWriter, a Answer) {
	w.Header().Set("Content-Type", "application/grpc")
	if a.Status != 0 {
		w.Header().Set("Grpc-Status", strconv.Itoa(a.Status))
		w.Header().Set("Grpc-Message", url.PathEscape(a.Text))
		return
	}
	head := make([]byte, 5)
	binary.BigEndian.PutUint32(head[1:], uint32(len(a.Message)))
	_, _ = w.Write(append(head, a.Message...))
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}

// A Pod is what a kubelet has given to one.
type Pod struct {
	Namespace, Name string
	Containers      []Container
}

// A Container has the devices of one container.
type Container struct {
	// Devices are pairs of a resource and a device ID.
	Devices [][2]string
	// Claimed are the driver, pool and name of devices of resource claims.
	Claimed [][3]string
}

// Encode returns a message that lists the Pods. With one Pod, it is the answer to Get, too.
func Encode(pods ...Pod) []byte {
	var all []byte
	for _, p := range pods {
		pod := appendText(appendText(nil, 1, p.Name), 2, p.Namespace)
		for _, c := range p.Containers {
			container := appendText(nil, 1, "app")
			for _, d := range c.Devices {
				device := appendText(appendText(nil, 1, d[0]), 2, d[1])
				container = appendMessage(container, 2, device)
			}
			container = protowire.AppendVarint(protowire.AppendTag(container, 3, protowire.VarintType), 7) // a CPU
			for _, d := range c.Claimed {
				claimed := appendText(appendText(appendText(nil, 2, d[0]), 3, d[1]), 4, d[2])
				container = appendMessage(container, 5, appendMessage(appendText(nil, 2, "claim"), 4, claimed))
			}
			pod = appendMessage(pod, 3, container)
		}
		all = appendMessage(all, 1, pod)
	}
	return all
}

func appendText(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendMessage(b []byte, field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), message)
}
