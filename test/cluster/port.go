package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Ports are below the range that the kernel uses for outgoing connections, one of which could
// otherwise take the port of a stopped apiserver, and below the range of node ports.
const (
	lowestPort = 20000
	manyPorts  = 10000
)

// errPortTaken is returned when another process listens on a port that was free a moment ago.
var errPortTaken = errors.New("port taken by another process")

// onFreePort calls start with a free loopback port, and with another one if start fails with
// errPortTaken, up to five times.
func onFreePort(start func(port int) error) error {
	var err error
	for range 5 {
		port, pickErr := pickPort(tryPort)
		if pickErr != nil {
			return pickErr
		}
		if err = start(port); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

// pickPort returns a port for which try succeeds.
func pickPort(try func(port int) error) (int, error) {
	var err error
	for range 100 {
		port := lowestPort + rand.IntN(manyPorts)
		if err = try(port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("finding a free loopback port: %w", err)
}

func tryPort(port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return listener.Close()
}

// portTaken reports whether a port is in use. It helps to explain why a process ended early,
// because the exit status does not.
func portTaken(port int) bool {
	return errors.Is(tryPort(port), syscall.EADDRINUSE)
}
