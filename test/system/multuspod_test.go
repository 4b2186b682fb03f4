package system

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A podObject is what the apiserver has of a Pod.
type podObject struct {
	Metadata struct{ Annotations map[string]string }
}

func (m *migration) object(t *testing.T, pod string) (o podObject) {
	t.Helper()
	must(t, json.Unmarshal([]byte(m.kubectl(t, "get", "pod", pod, "-o", "json")), &o))
	return o
}

// status returns the Pod's network-status; nothing if there is none.
func (o podObject) status(t *testing.T) (status []map[string]any) {
	t.Helper()
	if text := o.Metadata.Annotations["k8s.v1.cni.cncf.io/network-status"]; text != "" {
		must(t, json.Unmarshal([]byte(text), &status))
	}
	return status
}

// requested returns the addresses that the Pod asks for.
func (o podObject) requested() (addresses []string) {
	var selections []struct {
		IPs []string
		MAC string
	}
	if json.Unmarshal([]byte(o.Metadata.Annotations[networksKey]), &selections) != nil {
		return nil // a list with commas
	}
	for _, s := range selections {
		addresses = append(append(addresses, s.IPs...), s.MAC)
	}
	return addresses
}

// awaitStatus waits until a Pod's network-status is as expected.
func (m *migration) awaitStatus(
	t *testing.T, pod string, expected func(status []map[string]any) bool,
) (o podObject) {
	t.Helper()
	await(t, pod+" has its network-status", func() (string, bool) {
		o = m.object(t, pod)
		return fmt.Sprint(o.status(t)), expected(o.status(t))
	})
	return o
}

var (
	hostPart   = regexp.MustCompile(`(\d+\.\d+\.\d+)\.\d+`)
	deviceID   = regexp.MustCompile(`nic\d`)
	linkOfIP   = regexp.MustCompile(`(?m)^\d+: ([^:@]+)[@:].* mtu (\d+) `)
	addressOf  = regexp.MustCompile(`(?m)^\d+: (\S+) +inet (\S+)/(\d+) `)
	defaultsOf = regexp.MustCompile(`(?m)^default via \S+ dev \S+`)
)

// kernelOf returns the interfaces, the subnets and the default routes that ip shows.
func kernelOf(shown string) string {
	var all []string
	for _, link := range linkOfIP.FindAllStringSubmatch(shown, -1) {
		all = append(all, link[1]+" mtu "+link[2])
	}
	for _, address := range addressOf.FindAllStringSubmatch(shown, -1) {
		all = append(all, address[1]+" in "+hostPart.ReplaceAllString(address[2], "$1.0")+"/"+address[3])
	}
	all = append(all, defaultsOf.FindAllString(shown, -1)...)
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// normalizedStatus returns a network-status without what differs between Pods of a kind, and
// without what Multus does not say or, of gateways, not as they are.
func normalizedStatus(t *testing.T, status []map[string]any) string {
	t.Helper()
	for _, entry := range status {
		for _, key := range []string{"mac", "mtu", "gateway", "default-route", "com.kaloom.writer"} {
			delete(entry, key)
		}
	}
	data, err := json.MarshalIndent(status, "", " ")
	must(t, err)
	return deviceID.ReplaceAllString(hostPart.ReplaceAllString(string(data), "$1.0"), "nic")
}
