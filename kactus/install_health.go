package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
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

// serveHealth serves until ctx ends.
func (c cli) serveHealth(ctx context.Context, f installFlags, h *health) {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", h)
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	c.serve(ctx, f.endpoints, mux)
}
