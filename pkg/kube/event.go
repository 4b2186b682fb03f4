package kube

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// An Event tells what happened to a Pod (events.k8s.io/v1).
type Event struct {
	// Name is the event's own. Its namespace is the Pod's.
	Name string
	// Namespace, Pod and UID identify the Pod.
	Namespace, Pod, UID string
	// Time is when it happened for the first time.
	Time metav1.MicroTime
	// Controller and Instance identify who tells it.
	Controller, Instance string
	// Action is what was done, and Reason is why the event is told, each in one word.
	Action, Reason string
	// Warning means that something went wrong.
	Warning bool
	// Note is for people, in at most 1024 bytes.
	Note string
}

// A Series tells that an event has happened again.
type Series struct {
	Count            int              `json:"count"`
	LastObservedTime metav1.MicroTime `json:"lastObservedTime"`
}

// CreateEvent sends one request that creates an event. The error is an *Error.
func (c *Client) CreateEvent(ctx context.Context, e Event) error {
	target := c.events(e.Namespace)
	eventType := "Normal"
	if e.Warning {
		eventType = "Warning"
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion":          "events.k8s.io/v1",
		"kind":                "Event",
		"metadata":            map[string]string{"name": e.Name, "namespace": e.Namespace},
		"eventTime":           e.Time,
		"reportingController": e.Controller,
		"reportingInstance":   e.Instance,
		"action":              e.Action,
		"reason":              e.Reason,
		"type":                eventType,
		"note":                e.Note,
		"regarding": map[string]string{
			"apiVersion": "v1", "kind": "Pod", "namespace": e.Namespace, "name": e.Pod, "uid": e.UID,
		},
	})
	if err != nil {
		return &Error{Doing: "encode the request to POST " + target.Path, Cause: err}
	}
	_, err = c.send(ctx, sent{method: http.MethodPost, target: target, body: body})
	return err
}

// RepeatEvent sends one request that makes a series of an event. The error is an *Error, whose
// Status is 404 if the event is gone.
func (c *Client) RepeatEvent(ctx context.Context, namespace, name string, s Series) error {
	target := c.events(namespace).JoinPath(url.PathEscape(name))
	body, err := json.Marshal(map[string]any{"series": s})
	if err != nil {
		return &Error{Doing: "encode the request to PATCH " + target.Path, Cause: err}
	}
	_, err = c.send(ctx, sent{
		method: http.MethodPatch, target: target, body: body, contentType: "application/merge-patch+json",
	})
	return err
}

func (c *Client) events(namespace string) *url.URL {
	return c.base.JoinPath("apis", "events.k8s.io", "v1", "namespaces", url.PathEscape(namespace), "events")
}
