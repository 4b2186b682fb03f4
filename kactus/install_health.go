package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// health serves /healthz: the error of the last pass, if there was one.
type health struct {
	mu  sync.Mutex
	err error
}

func (h *health) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

// ServeHTTP responds with 200 if the last pass succeeded, and with 503 and the error if not.
func (h *health) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	err := h.err
	h.mu.Unlock()
	code, status := http.StatusOK, "installed"
	if err != nil {
		code, status = http.StatusServiceUnavailable, err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": status})
}

// serveHealth serves until ctx ends. During an update the old installer has the address for a
// while.
func (c cli) serveHealth(ctx context.Context, f installFlags, h *health) {
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	listener, err := net.Listen("tcp", f.health)
	for logged := false; err != nil; listener, err = net.Listen("tcp", f.health) {
		if !logged {
			c.logLine(fmt.Sprintf("cannot serve /healthz yet, retrying: %v", err))
			logged = true
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", h)
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	_ = server.Serve(listener)
}
