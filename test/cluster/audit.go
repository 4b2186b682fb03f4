package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// answerWait is how long AuditRequests waits for the audit log to show how a request ended. The log
// is written a moment after the client has the response.
const answerWait = 2 * time.Second

// An AuditMark is a point in time, as a position in the apiserver's audit log.
type AuditMark int64 // an offset in the log

// A Request is a request that the apiserver received.
type Request struct {
	User      string // empty if the apiserver could not authenticate the user
	UserAgent string
	Method    string // of the API: get, list, watch, create, ...
	URI       string
	Status    int // of the response; 0 if there is none yet
}

// Resource reports whether the request is for objects of a resource, such as "pods" or
// "networks.kaloom.com", in any namespace or none.
func (r Request) Resource(resource string) bool {
	path, _, _ := strings.Cut(r.URI, "?")
	words := strings.Split(strings.Trim(path, "/"), "/")
	name, group, grouped := strings.Cut(resource, ".")
	switch {
	case grouped && len(words) > 3 && words[0] == "apis" && words[1] == group:
		words = words[3:]
	case !grouped && len(words) > 2 && words[0] == "api":
		words = words[2:]
	default:
		return false
	}
	if words[0] == "namespaces" && len(words) > 2 {
		words = words[2:]
	}
	return words[0] == name
}

// AuditMark returns the current end of the audit log, for a later call of AuditRequests. Every
// request whose response a client has read is before the mark.
func (cp *ControlPlane) AuditMark() (AuditMark, error) {
	info, err := os.Stat(cp.path(fileAuditLog))
	if err != nil {
		return 0, fmt.Errorf("reading the size of the audit log: %w", err)
	}
	return AuditMark(info.Size()), nil
}

// AuditRequests returns the requests that the apiserver received after since, in order. They
// include the test's own requests, but not those that the apiserver sends to itself. The zero mark
// stands for the apiserver's first start. AuditRequests waits briefly for requests that have no
// response yet.
func (cp *ControlPlane) AuditRequests(ctx context.Context, since AuditMark) ([]Request, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		requests, complete, err := cp.readAudit(since)
		if err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		if complete {
			return requests, nil
		}
		select {
		case <-ctx.Done():
			return requests, nil
		case <-poll.C:
		}
	}
}

func (cp *ControlPlane) readAudit(since AuditMark) (requests []Request, complete bool, err error) {
	file, err := os.Open(cp.path(fileAuditLog))
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	if _, err := file.Seek(int64(since), io.SeekStart); err != nil {
		return nil, false, err
	}
	log, err := io.ReadAll(file)
	if err != nil {
		return nil, false, err
	}
	return parseAudit(log)
}

// auditEvent has the fields of an audit.k8s.io/v1 Event that are used here.
type auditEvent struct {
	AuditID    string `json:"auditID"`
	Stage      string `json:"stage"`
	Method     string `json:"verb"`
	RequestURI string `json:"requestURI"`
	UserAgent  string `json:"userAgent"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	ResponseStatus *struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// parseAudit merges the events of each request into one Request. The first event is logged before
// the apiserver responds, so a client never has the response to a request that is not in the log.
// complete reports whether all requests have a response.
func parseAudit(log []byte) (requests []Request, complete bool, err error) {
	complete = true
	index := map[string]int{} // by audit ID
	for line := range bytes.Lines(log) {
		if !bytes.HasSuffix(line, []byte{'\n'}) {
			return requests, false, nil // still being written
		}
		var event auditEvent
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, false, fmt.Errorf("parsing an audit event: %w", err)
		}
		i, known := index[event.AuditID]
		if !known {
			if !event.first() {
				continue // the end of a request from before the mark
			}
			i = len(requests)
			index[event.AuditID] = i
			requests = append(requests, Request{
				User: event.User.Username, UserAgent: event.UserAgent, Method: event.Method, URI: event.RequestURI,
			})
		}
		if event.ResponseStatus != nil {
			requests[i].Status = event.ResponseStatus.Code
		}
	}
	for _, request := range requests {
		complete = complete && request.Status != 0
	}
	return requests, complete, nil
}

// first reports whether the event is the first of its request. A request whose credentials are
// refused has only one.
func (e *auditEvent) first() bool {
	return e.Stage == "RequestReceived" || e.ResponseStatus != nil && e.ResponseStatus.Code == http.StatusUnauthorized
}

// writeAuditPolicy writes a policy that logs every request, without bodies, except those of the
// apiserver to itself: they come at any time and have nothing to do with the test.
func writeAuditPolicy(path string) error {
	const policy = `{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "rules": [
    {"level": "None", "users": ["system:apiserver"]},
    {"level": "Metadata"}
  ]
}
`
	return os.WriteFile(path, []byte(policy), 0o600)
}
