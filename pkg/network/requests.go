package network

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"

	"github.com/containernetworking/cni/pkg/utils"
	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
)

// Requests are what a Pod asks of an attachment, apart from the network and the name of the
// interface. The zero value asks for nothing. The section numbers are those of the de-facto
// standard of the Network Plumbing Working Group, version 1.3, whose keys both annotations have.
type Requests struct {
	// MAC is the MAC address that the interface must have. Empty leaves it to the delegate.
	MAC MAC
	// IPs are the addresses that the interface must have, as ParseIP reads them.
	IPs []string
	// DefaultRoute are the gateways of the Pod's default routes, which are moved to this interface
	// (section 4.1.2.1.9).
	DefaultRoute []netip.Addr
	// PortMappings, Bandwidth and InfinibandGUID are the values of the capabilities portMappings,
	// bandwidth and infinibandGUID (CNI conventions, "Dynamic Plugin specific fields").
	PortMappings   []nettypes.PortMapEntry
	Bandwidth      *nettypes.BandwidthEntry
	InfinibandGUID string
	// CNIArgs are merged into args.cni of the delegate's configuration (section 4.1.2.1.6).
	CNIArgs map[string]json.RawMessage
	// DeviceID is the device that is wanted, of those that the kubelet gave to the Pod. Empty
	// leaves the choice to kactus.
	DeviceID string
	// IPAMClaim names the IPAMClaim object from which the delegate takes the addresses (section
	// 4.1.2.1.11).
	IPAMClaim string
}

// rawRequests are the keys of Requests in both annotations.
type rawRequests struct {
	MAC            string                     `json:"mac,omitempty"`
	IPs            []string                   `json:"ips,omitempty"`
	DefaultRoute   []string                   `json:"default-route,omitempty"`
	PortMappings   []nettypes.PortMapEntry    `json:"portMappings,omitempty"`
	Bandwidth      *rawBandwidth              `json:"bandwidth,omitempty"`
	InfinibandGUID string                     `json:"infiniband-guid,omitempty"`
	CNIArgs        map[string]json.RawMessage `json:"cni-args,omitempty"`
	DeviceID       string                     `json:"deviceID,omitempty"`
	IPAMClaim      string                     `json:"ipam-claim-reference,omitempty"`
}

// rawBandwidth is a nettypes.BandwidthEntry that leaves out what is not limited.
type rawBandwidth struct {
	IngressRate  int `json:"ingressRate,omitempty"`
	IngressBurst int `json:"ingressBurst,omitempty"`
	EgressRate   int `json:"egressRate,omitempty"`
	EgressBurst  int `json:"egressBurst,omitempty"`
}

// parse returns the requests. The error names the key.
func (raw rawRequests) parse() (r Requests, err error) {
	r = Requests{IPs: raw.IPs, CNIArgs: raw.CNIArgs, DeviceID: raw.DeviceID, IPAMClaim: raw.IPAMClaim}
	if raw.MAC != "" {
		if r.MAC, err = ParseMAC(raw.MAC); err != nil {
			return Requests{}, fmt.Errorf("mac: %w", err)
		}
	}
	if err := validateIPs(r.IPs); err != nil {
		return Requests{}, err
	}
	if r.DefaultRoute, err = parseGateways(raw.DefaultRoute); err != nil {
		return Requests{}, fmt.Errorf("default-route%w", err)
	}
	if r.PortMappings, err = parsePortMappings(raw.PortMappings); err != nil {
		return Requests{}, fmt.Errorf("portMappings%w", err)
	}
	if r.Bandwidth, err = raw.Bandwidth.parse(); err != nil {
		return Requests{}, fmt.Errorf("bandwidth: %w", err)
	}
	if r.InfinibandGUID, err = parseGUID(raw.InfinibandGUID); err != nil {
		return Requests{}, fmt.Errorf("infiniband-guid: %w", err)
	}
	if err := validateDeviceID(r.DeviceID); err != nil {
		return Requests{}, fmt.Errorf("deviceID: %w", err)
	}
	return r, r.checkIPAMClaim()
}

// encode returns what parse reads as r.
func (r Requests) encode() rawRequests {
	raw := rawRequests{
		MAC: string(r.MAC), IPs: r.IPs, PortMappings: r.PortMappings, Bandwidth: (*rawBandwidth)(nil),
		InfinibandGUID: r.InfinibandGUID, CNIArgs: r.CNIArgs, DeviceID: r.DeviceID, IPAMClaim: r.IPAMClaim,
	}
	if r.Bandwidth != nil {
		own := rawBandwidth(*r.Bandwidth)
		raw.Bandwidth = &own
	}
	for _, gateway := range r.DefaultRoute {
		raw.DefaultRoute = append(raw.DefaultRoute, gateway.String())
	}
	return raw
}

// Encode returns the requests with the keys that they have in the annotations, and nothing where
// nothing is asked for.
func (r Requests) Encode() (json.RawMessage, error) {
	data, err := json.Marshal(r.encode())
	if err != nil || string(data) == "{}" {
		return nil, err
	}
	return data, nil
}

// DecodeRequests reads what Encode returns. The error names the key.
func DecodeRequests(data json.RawMessage) (Requests, error) {
	if len(data) == 0 {
		return Requests{}, nil
	}
	var raw rawRequests
	if err := json.Unmarshal(data, &raw); err != nil {
		return Requests{}, err
	}
	return raw.parse()
}

// Rest returns the requests apart from the MAC address and the IP addresses, which an interface
// shows: the others are known from the annotation alone.
func (r Requests) Rest() Requests {
	r.MAC, r.IPs = "", nil
	return r
}

// Same reports whether the two ask for the same, to the letter.
func (r Requests) Same(other Requests) bool {
	own, err := r.Encode()
	others, otherErr := other.Encode()
	return err == nil && otherErr == nil && string(own) == string(others)
}

// Capabilities returns the values of the capabilities that plugins must declare to get them (CNI
// conventions, "Dynamic Plugin specific fields").
func (r Requests) Capabilities() map[string]json.RawMessage {
	values := map[string]json.RawMessage{}
	set := func(capability string, value any) {
		if !reflect.ValueOf(value).IsZero() {
			values[capability], _ = json.Marshal(value)
		}
	}
	set("mac", r.MAC)
	if len(r.IPs) > 0 {
		set("ips", r.IPs)
	}
	set("portMappings", r.PortMappings)
	if r.Bandwidth != nil {
		set("bandwidth", r.encode().Bandwidth)
	}
	set("infinibandGUID", r.InfinibandGUID)
	set("ipam-claim-reference", r.IPAMClaim)
	return values
}

// ValidateIfName returns an error unless name can be the name of an interface that is made in a
// Pod. For %, the kernel would put a number, and tools write what is below an interface after an @.
func ValidateIfName(name string) error {
	isOdd := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '%' || r == '@' }
	switch err := utils.ValidateInterfaceName(name); {
	case err != nil:
		return fmt.Errorf("%.64q is not the name of an interface: %s", name, err.Msg)
	case name == "lo":
		return errors.New("lo is the loopback interface of the Pod")
	case strings.ContainsFunc(name, isOdd):
		return fmt.Errorf("%q is not the name of an interface: must be printable ASCII, without %% and @", name)
	}
	return nil
}

func parseGateways(texts []string) (gateways []netip.Addr, err error) {
	const most = 16
	if len(texts) > most {
		return nil, fmt.Errorf(": %d gateways, limit is %d", len(texts), most)
	}
	for i, text := range texts {
		gateway, err := netip.ParseAddr(text)
		if gateway = gateway.Unmap(); err != nil || gateway.Zone() != "" || gateway.IsUnspecified() ||
			gateway.IsMulticast() || gateway.IsLoopback() {
			return nil, fmt.Errorf("[%d]: %.64q must be the IP address of a gateway", i, text)
		}
		gateways = append(gateways, gateway)
	}
	return gateways, nil
}

// parsePortMappings returns the port mappings as the CNI conventions have them.
func parsePortMappings(raw []nettypes.PortMapEntry) (all []nettypes.PortMapEntry, err error) {
	const most = 1024
	if len(raw) > most {
		return nil, fmt.Errorf(": %d, limit is %d", len(raw), most)
	}
	isPort := func(port int) bool { return 0 < port && port <= math.MaxUint16 }
	for i, m := range raw {
		m.Protocol = strings.ToLower(cmp.Or(m.Protocol, "tcp"))
		_, err := netip.ParseAddr(m.HostIP)
		switch {
		case !isPort(m.HostPort):
			return nil, fmt.Errorf("[%d]: hostPort: %d must be from 1 to 65535", i, m.HostPort)
		case !isPort(m.ContainerPort):
			return nil, fmt.Errorf("[%d]: containerPort: %d must be from 1 to 65535", i, m.ContainerPort)
		case m.Protocol != "tcp" && m.Protocol != "udp" && m.Protocol != "sctp":
			return nil, fmt.Errorf("[%d]: protocol: %.16q must be TCP, UDP or SCTP", i, m.Protocol)
		case m.HostIP != "" && err != nil:
			return nil, fmt.Errorf("[%d]: hostIP: %.64q must be an IP address", i, m.HostIP)
		}
		all = append(all, m)
	}
	return all, nil
}

// defaultBurst is the burst of a limited rate for which none is requested, in bits: what container
// runtimes ask for. The bandwidth plugin requires one.
const defaultBurst = math.MaxInt32

// parse returns the limits; nil where there are none. Rates are in bits per second, bursts in bits.
func (b *rawBandwidth) parse() (*nettypes.BandwidthEntry, error) {
	if b == nil || *b == (rawBandwidth{}) {
		return nil, nil
	}
	own := nettypes.BandwidthEntry(*b)
	for _, limit := range []struct {
		name  string
		rate  int
		burst *int
	}{{"ingress", own.IngressRate, &own.IngressBurst}, {"egress", own.EgressRate, &own.EgressBurst}} {
		switch {
		case limit.rate < 0:
			return nil, fmt.Errorf("%sRate: %d must not be negative", limit.name, limit.rate)
		case *limit.burst < 0:
			return nil, fmt.Errorf("%sBurst: %d must not be negative", limit.name, *limit.burst)
		case limit.rate == 0 && *limit.burst > 0:
			return nil, fmt.Errorf("%sBurst: requires %sRate", limit.name, limit.name)
		case limit.rate > 0 && *limit.burst == 0:
			*limit.burst = defaultBurst
		}
	}
	return &own, nil
}

// parseGUID returns the GUID of an InfiniBand port, eight bytes, in lower case; empty for empty.
func parseGUID(text string) (string, error) {
	const form = "c2:11:22:33:44:55:66:77"
	guid := strings.ToLower(text)
	isHex := func(i int) bool { return strings.IndexByte("0123456789abcdef", guid[i]) >= 0 }
	valid := guid == "" || len(guid) == len(form)
	for i := 0; valid && i < len(guid); i++ {
		valid = form[i] == ':' && guid[i] == ':' || form[i] != ':' && isHex(i)
	}
	if !valid {
		return "", fmt.Errorf("%.64q must be eight bytes, such as %s", text, form)
	}
	return guid, nil
}

// validateDeviceID returns an error unless the ID is empty, or can be that of a device, such as a
// PCI address: it ends up in configurations and in the name of a file.
func validateDeviceID(id string) error {
	const longest = 200
	isOdd := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' }
	if len(id) > longest || strings.ContainsFunc(id, isOdd) || strings.HasPrefix(id, ".") {
		return fmt.Errorf("%.64q must be the ID of a device, such as 0000:3b:02.1", id)
	}
	return nil
}

func (r Requests) checkIPAMClaim() error {
	if r.IPAMClaim == "" {
		return nil
	}
	if err := ValidateName(r.IPAMClaim); err != nil {
		return fmt.Errorf("ipam-claim-reference: %w", err)
	}
	if len(r.IPs) > 0 {
		return errors.New("ipam-claim-reference: excludes ips")
	}
	return nil
}
