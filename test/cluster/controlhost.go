package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
)

// Ports of a control plane that has a host of its own, where all ports are free. The apiserver
// serves on the port of the Service kubernetes, so that Pods reach it without kube-proxy.
const (
	hostEtcdPort      = 2379
	hostAPIServerPort = 443
)

// startHost starts the control plane's host, and the forwarder that makes the host reachable from
// the machine's loopback.
func (cp *ControlPlane) startHost(ctx context.Context) error {
	host, err := startHost(ctx, cp.dir, networkHost, cp.detached, "control-plane")
	if err != nil {
		return err
	}
	cp.host = host
	if err := makeUnderlay(host); err != nil {
		return fmt.Errorf("making the underlay: %w", err)
	}
	return cp.startForward()
}

// startForward starts the forwarder in the host with a listener of the machine's network.
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
	to := net.JoinHostPort("127.0.0.1", strconv.Itoa(hostAPIServerPort))
	cp.forward, err = cp.launch(Forward, []string{to}, listener)
	return err
}

// onPort calls start with the port that a part has on the control plane's host or, if there is no
// such host, with a free port of the machine's loopback.
func (cp *ControlPlane) onPort(own int, start func(port int) error) error {
	if cp.host != nil {
		return start(own)
	}
	return onFreePort(start)
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dial connects from within the control plane's network.
func (cp *ControlPlane) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if cp.host != nil {
		return cp.host.dial(ctx, network, address)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}
