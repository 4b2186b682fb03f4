package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
)

// Ports of a control plane that has a host of its own, where all are free. The apiserver
// serves on the port of the Service kubernetes, so that Pods find it there with no proxy
// in between.
const (
	hostEtcdPort      = 2379
	hostAPIServerPort = 443
)

// startHost starts the control plane's own host and the forwarder that makes it reachable
// from the machine's loopback.
func (cp *ControlPlane) startHost(ctx context.Context) error {
	host, err := startHost(ctx, cp.dir, networkHost, cp.detached, "control-plane")
	if err != nil {
		return err
	}
	cp.host = host
	if err := layUnderlay(host); err != nil {
		return fmt.Errorf("laying the underlay: %w", err)
	}
	return cp.startForward()
}

// startForward gives the forwarder a listener of the machine's network.
func (cp *ControlPlane) startForward() error {
	var listener *os.File
	port, err := pickPort(func(port int) error {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return err
		}
		defer l.Close()
		listener, err = l.(*net.TCPListener).File()
		return err
	})
	if err != nil {
		return err
	}
	defer listener.Close()
	cp.forwardPort = port
	cp.forward, err = cp.launch(Forward, []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(hostAPIServerPort))}, listener)
	return err
}

// onPort calls start with the port that a part has on its own host or, where there is
// none, with a free one of the machine's loopback.
func (cp *ControlPlane) onPort(own int, start func(port int) error) error {
	if cp.host != nil {
		return start(own)
	}
	return onFreePort(start)
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dial connects from where the control plane is.
func (cp *ControlPlane) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if cp.host != nil {
		return cp.host.dial(ctx, network, address)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}
