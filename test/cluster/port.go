package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Ports are taken from below the range that the kernel gives to outgoing connections,
// one of which could else sit on a stopped apiserver's port, and from below the range
// of node ports.
const (
	lowestPort = 20000
	manyPorts  = 10000
)

// errPortTaken says that somebody else listens on a port that was free a moment ago.
var errPortTaken = errors.New("another process took the port")

// onFreePort calls start with a loopback port that is free, and again with another one
// as long as start loses the race for it.
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

// portTaken reports whether a port can be had no more. It is asked once a process has
// ended early, to learn why, which its exit status does not tell.
func portTaken(port int) bool {
	return errors.Is(tryPort(port), syscall.EADDRINUSE)
}
