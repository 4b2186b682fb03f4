package cluster

import (
	"strings"
	"testing"
)

func TestRequest_Resource(t *testing.T) {
	const pods, networks = "pods", "networks.kaloom.com"
	for _, test := range []struct {
		uri, resource string
		want          bool
	}{
		{"/api/v1/pods", pods, true},
		{"/api/v1/namespaces/default/pods?limit=500", pods, true},
		{"/api/v1/namespaces/default/pods/p/status", pods, true},
		{"/api/v1/namespaces/pods", pods, false},
		{"/api/v1/namespaces/pods/services", pods, false},
		{"/apis/metrics.k8s.io/v1/namespaces/default/pods", pods, false},
		{"/apis/kaloom.com/v1/namespaces/default/networks/green", networks, true},
		{"/apis/kaloom.com/v1/networks", networks, true},
		{"/apis/kaloom.com/v1", networks, false},
		{"/apis/example.com/v1/networks", networks, false},
		{"/readyz", pods, false},
	} {
		if got := (Request{URI: test.uri}).Resource(test.resource); got != test.want {
			t.Errorf("%s is for %s: %v; want %v", test.uri, test.resource, got, test.want)
		}
	}
}

func TestParseAudit_OmitsRequestsBeforeTheMark(t *testing.T) {
	log := strings.Join([]string{
		`{"auditID":"early","stage":"ResponseComplete","requestURI":"/early","responseStatus":{"code":200}}`,
		`{"auditID":"a","stage":"RequestReceived","requestURI":"/a"}`,
		`{"auditID":"b","stage":"RequestReceived","requestURI":"/b"}`,
		`{"auditID":"a","stage":"ResponseComplete","requestURI":"/a","responseStatus":{"code":404}}`,
		"",
	}, "\n")
	requests, complete, err := parseAudit([]byte(log))
	if err != nil {
		t.Fatal(err)
	}
	want := []Request{{URI: "/a", Status: 404}, {URI: "/b"}}
	if len(requests) != 2 || requests[0] != want[0] || requests[1] != want[1] {
		t.Errorf("requests: %+v; want %+v", requests, want)
	}
	if complete {
		t.Error("complete, although /b has no response")
	}
}
