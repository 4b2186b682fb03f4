package cluster

import (
	"errors"
	"net"
	"testing"
)

func TestOnFreePort_RetriesWhenThePortIsTaken(t *testing.T) {
	var tried []int
	err := onFreePort(func(port int) error {
		if tried = append(tried, port); len(tried) < 3 {
			return errors.Join(errors.New("ended"), errPortTaken)
		}
		return nil
	})
	if err != nil || len(tried) != 3 {
		t.Errorf("ports tried: %v, %v; want three", tried, err)
	}
	refused := errors.New("no")
	if err := onFreePort(func(int) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("error: %v; want start's error", err)
	}
}

func TestPortTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if port := listener.Addr().(*net.TCPAddr).Port; !portTaken(port) {
		t.Errorf("port %d has a listener, but is not reported as taken", port)
	}
}
