package main

import (
	"context"
	"encoding/json"
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

// health serves /healthz: the state after the last pass, and whether there was an error.
type health struct {
	mu    sync.Mutex
	state string
	err   error
}

func (h *health) set(state string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.err = state, err
}

// ServeHTTP responds with 200 if the last pass succeeded, and with 503 and the error if not.
func (h *health) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	code, status := http.StatusOK, h.state
	if h.err != nil {
		code, status = http.StatusServiceUnavailable, oneLine(h.err)
	}
	h.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": status})
}

// serveHealth serves until ctx ends, at an address of the node for people and on a socket of the
// container for its probes: during an update, the node's address is still the old installer's.
func (c cli) serveHealth(ctx context.Context, f installFlags, h *health) {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", h)
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	var serving sync.WaitGroup
	for network, address := range map[string]string{"tcp": f.health, "unix": f.socket} {
		if address == "" {
			continue
		}
		serving.Go(func() {
			if listener := c.listen(ctx, network, address, f.every); listener != nil {
				_ = server.Serve(listener)
			}
		})
	}
	serving.Wait()
}

// listen tries until it succeeds or ctx ends.
func (c cli) listen(ctx context.Context, network, address string, every time.Duration) net.Listener {
	ticker := time.NewTicker(every)
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
			c.logLine(fmt.Sprintf("cannot serve /healthz yet, retrying: %v", err))
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

// probe asks the installer that runs in the same container, and returns the exit status.
func (c cli) probe(ctx context.Context, f installFlags) int {
	const limit = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", f.socket)
	}
	path := map[string]string{"ready": "/healthz", "live": "/livez"}[f.probe]
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://installer"+path, nil)
	if err != nil {
		return c.failed("install", err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DialContext: dial}}).Do(req)
	if err != nil {
		return c.failed("install", fmt.Errorf("probe the installer: %w", err))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(c.stdout, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}
