package podresources

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// timeout bounds all that is asked about one Pod.
const timeout = 10 * time.Second

// firstPause is the longest pause before a call that the kubelet refused is made again; later ones
// double, up to maxPause. The kubelet answers 100 calls a second.
const (
	firstPause = 20 * time.Millisecond
	maxPause   = 500 * time.Millisecond
)

// A Client asks the kubelet that serves one socket.
type Client struct {
	socket string
	// timeout bounds all that is asked about one Pod.
	timeout time.Duration
}

// New returns a Client of the kubelet's socket at that path. It opens no connection.
func New(socket string) *Client { return &Client{socket: socket, timeout: timeout} }

// Devices are what the kubelet has given to one Pod.
type Devices struct {
	// IDs are those of device plugins by the name of the resource, sorted, none twice.
	IDs map[string][]string
	// Claimed are those of the Pod's resource claims, in the kubelet's order, none twice.
	Claimed []ClaimedDevice
}

// A ClaimedDevice names a device as ResourceSlices do (DRA).
type ClaimedDevice struct{ Driver, Pool, Device string }

// An Error says why a kubelet could not be asked for the devices of a Pod.
type Error struct {
	Socket, Namespace, Name string
	Cause                   error
}

// Error names the socket and the Pod.
func (e *Error) Error() string {
	return fmt.Sprintf("ask the kubelet at %s for the devices of the Pod %s/%s: %v",
		e.Socket, e.Namespace, e.Name, e.Cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Devices returns the devices of the Pod of that name. The error is an *Error.
func (c *Client) Devices(ctx context.Context, namespace, name string) (Devices, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %s", c.timeout))
	defer cancel()
	devices, err := c.devices(ctx, namespace, name)
	if err != nil {
		return Devices{}, &Error{Socket: c.socket, Namespace: namespace, Name: name, Cause: err}
	}
	return devices, nil
}

func (c *Client) devices(ctx context.Context, namespace, name string) (Devices, error) {
	conn := dial(c.socket)
	defer conn.close()
	answer, err := conn.patientCall(ctx, "Get", encodeGet(namespace, name))
	if err == nil {
		return decode(answer, namespace, name)
	}
	if !hasNoGet(err) {
		return Devices{}, err
	}
	if answer, err = conn.patientCall(ctx, "List", nil); err != nil {
		return Devices{}, err
	}
	return decode(answer, namespace, name)
}

// hasNoGet reports whether err is what a kubelet answers that has no method Get, or whose feature
// gate KubeletPodResourcesGet is off.
func hasNoGet(err error) bool {
	var refused *statusError
	return errors.As(err, &refused) && (refused.code == codeUnimplemented ||
		refused.code == codeUnknown && strings.Contains(refused.message, "Get method disabled"))
}

// patientCall makes a call again while the kubelet says that it gets too many.
func (c *connection) patientCall(ctx context.Context, method string, message []byte) ([]byte, error) {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		answer, err := c.call(ctx, method, message)
		var refused *statusError
		if !errors.As(err, &refused) || refused.code != codeResourceExhausted {
			return answer, err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
			return nil, err
		}
	}
}
