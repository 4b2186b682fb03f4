package kube

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

const slicesPath = "/apis/resource.k8s.io/v1/resourceslices"

// slicePageJSON is a list of one ResourceSlice with the devices.
func slicePageJSON(next string, generation int, devices ...string) string {
	return fmt.Sprintf(`{"kind":"ResourceSliceList","metadata":{"continue":%q},"items":[{"spec":{
		"driver":"nic.kaloom.com","nodeName":"node1","pool":{"name":"pool","generation":%d,"resourceSliceCount":2},
		"devices":[%s]}}]}`, next, generation, strings.Join(devices, ","))
}

func deviceJSON(name, resource, id string) string {
	return fmt.Sprintf(`{"name":%q,"attributes":{"k8s.cni.cncf.io/resourceName":{"string":%q},
		"k8s.cni.cncf.io/deviceID":{"string":%q},"numaNode":{"int":1},"up":{"bool":true}},
		"capacity":{"bandwidth":{"value":"10G"}}}`, name, resource, id)
}

func TestNetworkDevices_ReadsAllPages(t *testing.T) {
	var queries []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.RawQuery)
		if r.URL.Path != slicesPath {
			t.Errorf("got a request for %s", r.URL.Path)
		}
		switch r.URL.Query().Get("continue") {
		case "":
			respond(200, slicePageJSON("next page", 2, deviceJSON("vf0", "kaloom.com/nic", "0000:03:02.0")))(w, r)
		default:
			respond(200, slicePageJSON("", 1, deviceJSON("vf0", "kaloom.com/nic", "of an older generation"),
				deviceJSON("vf1", "kaloom.com/nic", "0000:03:02.1"),
				`{"name":"gpu"}`, deviceJSON("no-resource", "", "1"), deviceJSON("no-id", "kaloom.com/nic", ""),
				`{"name":"number","attributes":{"k8s.cni.cncf.io/deviceID":{"int":1}}}`))(w, r)
		}
	})
	devices, err := s.client(t).NetworkDevices(within(t, 10*time.Second), "nic.kaloom.com", "node1")
	want := map[PooledDevice]NetworkDevice{
		{"pool", "vf0"}: {"kaloom.com/nic", "0000:03:02.0", 2},
		{"pool", "vf1"}: {"kaloom.com/nic", "0000:03:02.1", 1},
	}
	if err != nil || !reflect.DeepEqual(devices, want) {
		t.Errorf("got %v, %v, want %v", devices, err, want)
	}
	const selector = "fieldSelector=spec.driver%3Dnic.kaloom.com%2Cspec.nodeName%3Dnode1&limit=1"
	if want := []string{selector, "continue=next+page&" + selector}; !reflect.DeepEqual(queries, want) {
		t.Errorf("got the queries %q, want %q", queries, want)
	}
}

func TestNetworkDevices_NoneWithoutTheAPI(t *testing.T) {
	s := serve(t, respond(404, "404 page not found"))
	devices, err := s.client(t).NetworkDevices(within(t, 10*time.Second), "nic.kaloom.com", "node1")
	if err != nil || len(devices) != 0 {
		t.Errorf("got %v, %v", devices, err)
	}
}

func TestNetworkDevices_Errors(t *testing.T) {
	large := deviceJSON("x", "y", strings.Repeat("z", maxResponses))
	for _, tt := range []struct {
		behavior string
		handler  http.HandlerFunc
		want     string
	}{
		{"no permission", respond(403, `{"kind":"Status","message":"cannot list resourceslices"}`),
			"GET " + slicesPath + ": 403 Forbidden: cannot list resourceslices"},
		{"no list", respond(200, `[]`), "decode the response to GET " + slicesPath},
		{"pages without end", respond(200, slicePageJSON("next", 1)),
			"more than 256 ResourceSlices of the driver \"nic.kaloom.com\""},
		{"too large a page", respond(200, slicePageJSON("", 1, large)), "responses too large"},
	} {
		t.Run(tt.behavior, func(t *testing.T) {
			c := serve(t, tt.handler).client(t)
			_, err := c.NetworkDevices(within(t, 10*time.Second), "nic.kaloom.com", "node1")
			if failure(t, err); !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestNetworkDevices_LeavesTheBudget(t *testing.T) {
	page := slicePageJSON("next", 1, deviceJSON("x", "y", strings.Repeat("z", maxResponses/2)))
	last := strings.Replace(page, `"next"`, `""`, 1)
	s := serve(t, respond(200, page), respond(200, page), respond(200, last))
	c := s.client(t)
	if _, err := c.NetworkDevices(within(t, 10*time.Second), "nic.kaloom.com", "node1"); err != nil {
		t.Fatal(err)
	}
	if got := c.budget.Take(maxResponses); got != maxResponses {
		t.Errorf("the budget has %d bytes left", got)
	}
}

func TestPodNode(t *testing.T) {
	s := serve(t, respond(200, `{"kind":"Pod","spec":{"nodeName":"node1"}}`), respond(200, `{"kind":"Pod","spec":{}}`))
	c := s.client(t)
	if node, err := c.PodNode(within(t, 10*time.Second), "tenant", "app"); err != nil || node != "node1" {
		t.Errorf("got %q, %v", node, err)
	}
	_, err := c.PodNode(within(t, 10*time.Second), "tenant", "app")
	if failure(t, err); !strings.Contains(err.Error(), "spec.nodeName: missing") {
		t.Errorf("got %v", err)
	}
}
