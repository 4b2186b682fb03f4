// Command forward passes the connections that arrive at an inherited listener, its
// descriptor 3, on to the TCP address that is its one argument. It is started in one
// network namespace with a listener of another, and so joins the two without a device.
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
		return fmt.Errorf("one address is needed, not %q", args)
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

// forward joins two connections until both sides have said all that they had to say. If
// nobody listens at the address, the client sees its connection close.
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

// pass copies one direction and hands its end on. A side that broke ends both.
func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	to.CloseWrite()
}
