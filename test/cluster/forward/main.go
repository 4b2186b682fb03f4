// Command forward accepts connections on an inherited listener, descriptor 3, and forwards them to
// the TCP address in its only argument. It is started in one network namespace with a listener of
// another, and so connects the two without an interface.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "forward: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("arguments %q: exactly one address is required", args)
	}
	file := os.NewFile(3, "listener")
	listener, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("using descriptor 3 as a listener: %w", err)
	}
	file.Close()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("accepting a connection: %w", err)
		}
		go forward(conn.(*net.TCPConn), args[0])
	}
}

// forward copies data between client and address until both sides have closed. If nobody listens at
// the address, the client's connection is closed.
func forward(client *net.TCPConn, address string) {
	defer client.Close()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		fmt.Fprintf(os.Stderr, "forward: %v\n", err)
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	done := make(chan struct{})
	go func() {
		pass(server, client)
		close(done)
	}()
	pass(client, server)
	<-done
}

// pass copies one direction and then closes it. An error closes both connections.
func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	to.CloseWrite()
}
