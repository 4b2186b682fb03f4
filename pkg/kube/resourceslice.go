package kube

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"k8s.io/apimachinery/pkg/fields"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/budget"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// The attributes by which a driver says how CNI plugins know a device, as Multus has them.
const (
	attributeResourceName = "k8s.cni.cncf.io/resourceName"
	attributeDeviceID     = "k8s.cni.cncf.io/deviceID"
)

// slicesPerPage is how many ResourceSlices are read at once. One has up to 128 devices.
const slicesPerPage = 1

// maxSlices bounds the ResourceSlices of one driver on one node.
const maxSlices = 256

// A PooledDevice names a device of a driver.
type PooledDevice struct{ Pool, Device string }

// A NetworkDevice says how CNI plugins know a device.
type NetworkDevice struct {
	// Resource is the name by which a Network asks for the device.
	Resource string
	// ID is the device ID that plugins are given.
	ID string

	generation int64
}

// PodNode reads the name of the node that a Pod is on. The error is an *Error.
func (c *Client) PodNode(ctx context.Context, namespace, name string) (string, error) {
	target := c.base.JoinPath("api", "v1", "namespaces", url.PathEscape(namespace), "pods", url.PathEscape(name))
	var pod struct {
		Spec struct {
			NodeName string `json:"nodeName"`
		} `json:"spec"`
	}
	if err := c.getLarge(ctx, target, &pod); err != nil {
		return "", err
	}
	if pod.Spec.NodeName == "" {
		return "", c.decodeError(target, errors.New("spec.nodeName: missing"))
	}
	return pod.Spec.NodeName, nil
}

// NetworkDevices reads from the ResourceSlices of a driver on a node which of its devices are for
// CNI plugins (DRA). An apiserver that knows no ResourceSlices has none. The error is an *Error.
func (c *Client) NetworkDevices(ctx context.Context, driver, node string) (map[PooledDevice]NetworkDevice, error) {
	devices := map[PooledDevice]NetworkDevice{}
	target := c.base.JoinPath("apis", "resource.k8s.io", "v1", "resourceslices")
	selector := fields.AndSelectors(
		fields.OneTermEqualSelector("spec.driver", driver), fields.OneTermEqualSelector("spec.nodeName", node))
	query := url.Values{
		"fieldSelector": {selector.String()},
		"limit":         {strconv.Itoa(slicesPerPage)},
	}
	for range maxSlices / slicesPerPage {
		target.RawQuery = query.Encode()
		var page slicePage
		err := c.getLarge(ctx, target, &page)
		if missing := (*Error)(nil); errors.As(err, &missing) && missing.Missing() {
			return devices, nil
		}
		if err != nil {
			return nil, err
		}
		for _, slice := range page.Items {
			slice.addTo(devices)
		}
		if page.Metadata.Continue == "" {
			return devices, nil
		}
		query.Set("continue", page.Metadata.Continue)
	}
	return nil, c.decodeError(target, fmt.Errorf("more than %d ResourceSlices of the driver %.64q", maxSlices, driver))
}

// getLarge reads an object of which little is kept. It may be as large as all that is kept.
func (c *Client) getLarge(ctx context.Context, target *url.URL, v any) error {
	once := *c
	once.budget = budget.New(maxResponses)
	body, err := once.get(ctx, target, "application/json")
	if err != nil {
		return err
	}
	if err := strictjson.Decode(body, v); err != nil {
		return c.decodeError(target, err)
	}
	return nil
}

// A slicePage is what is kept of a list of ResourceSlices.
type slicePage struct {
	Metadata struct {
		Continue string `json:"continue"`
	} `json:"metadata"`
	Items []resourceSlice `json:"items"`
}

type resourceSlice struct {
	Spec struct {
		Pool struct {
			Name       string `json:"name"`
			Generation int64  `json:"generation"`
		} `json:"pool"`
		Devices []struct {
			Name       string `json:"name"`
			Attributes map[string]struct {
				String string `json:"string"`
			} `json:"attributes"`
		} `json:"devices"`
	} `json:"spec"`
}

// addTo adds the devices that have both attributes, except for those that a later generation of
// the pool has already.
func (s resourceSlice) addTo(devices map[PooledDevice]NetworkDevice) {
	pool := s.Spec.Pool
	for _, device := range s.Spec.Devices {
		key := PooledDevice{Pool: pool.Name, Device: device.Name}
		found := NetworkDevice{
			Resource:   device.Attributes[attributeResourceName].String,
			ID:         device.Attributes[attributeDeviceID].String,
			generation: pool.Generation,
		}
		if found.Resource != "" && found.ID != "" && devices[key].generation <= found.generation {
			devices[key] = found
		}
	}
}
