package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// endpoints are where a subcommand that keeps running can be asked: at an address of the node, for
// people, and on a socket of the container, for its probes: during an update, the node's address is
// still the old container's. Each may be empty.
type endpoints struct{ address, socket string }

// serve serves until ctx ends.
func (c cli) serve(ctx context.Context, e endpoints, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	var serving sync.WaitGroup
	for network, address := range map[string]string{"tcp": e.address, "unix": e.socket} {
		if address == "" {
			continue
		}
		serving.Go(func() {
			if listener := c.listen(ctx, network, address); listener != nil {
				_ = server.Serve(listener)
			}
		})
	}
	serving.Wait()
}

// listen tries until it succeeds or ctx ends.
func (c cli) listen(ctx context.Context, network, address string) net.Listener {
	const pause = 2 * time.Second
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for logged := false; ; logged = true {
		err := makeRoom(network, address)
		if err == nil {
			var listener net.Listener
			if listener, err = net.Listen(network, address); err == nil {
				return listener
			}
		}
		if !logged {
			c.logLine(fmt.Sprintf("cannot listen yet, retrying: %v", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// makeRoom removes the socket of a container that ended without doing so.
func makeRoom(network, address string) error {
	if network != "unix" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(address), 0o700); err != nil {
		return err
	}
	if err := os.Remove(address); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// probe asks the subcommand of that name that runs in the same container for a path, and returns
// the exit status.
func (c cli) probe(ctx context.Context, name, socket, path string) int {
	const limit = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+path, nil)
	if err != nil {
		return c.failed(name, err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DialContext: dial}}).Do(req)
	if err != nil {
		return c.failed(name, fmt.Errorf("probe: %w", err))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(c.stdout, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}
