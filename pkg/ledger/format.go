package ledger

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// Format is the version of the format in which records are written. testdata has a file of each
// version that was ever released.
const Format = 1

type diskRecord struct {
	Format      int              `json:"format"`
	ContainerID string           `json:"containerID"`
	Netns       diskNetns        `json:"netns"`
	Pod         diskPod          `json:"pod"`
	Device      string           `json:"device,omitempty"`
	Attachments []diskAttachment `json:"attachments"`
	Orphans     []diskAttachment `json:"orphans,omitempty"`
}

type diskNetns struct {
	Path   string `json:"path"`
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	BootID string `json:"bootID"`
	Mounts uint64 `json:"mounts,omitempty"`
	Cookie uint64 `json:"cookie,omitempty"`
}

type diskPod struct {
	Namespace        string `json:"namespace"`
	Name             string `json:"name"`
	UID              string `json:"uid,omitempty"`
	InfraContainerID string `json:"infraContainerID,omitempty"`
}

type diskAttachment struct {
	Network       string                     `json:"network"`
	Namespace     string                     `json:"namespace,omitempty"`
	NPWG          bool                       `json:"npwg,omitempty"`
	Device        string                     `json:"device"`
	MAC           string                     `json:"mac,omitempty"`
	IPs           []string                   `json:"ips,omitempty"`
	Requests      json.RawMessage            `json:"requests,omitempty"`
	ResourceName  string                     `json:"resourceName,omitempty"`
	DeviceID      string                     `json:"deviceID,omitempty"`
	Config        diskChain                  `json:"config"`
	RuntimeConfig map[string]json.RawMessage `json:"runtimeConfig,omitempty"`
	PodagentSkip  bool                       `json:"podagentSkip,omitempty"`
	State         string                     `json:"state"`
	Args          string                     `json:"args"`
	Created       time.Time                  `json:"created"`
	Hot           bool                       `json:"hot,omitempty"`
	NoInterface   bool                       `json:"noInterface,omitempty"`
	PreviousMAC   string                     `json:"previousMAC,omitempty"`
	Routes        []diskRoute                `json:"previousRoutes,omitempty"`
	DeviceInfo    json.RawMessage            `json:"deviceInfo,omitempty"`
	Result        json.RawMessage            `json:"result,omitempty"`
	TornDown      []int                      `json:"tornDown,omitempty"`
	Failures      int                        `json:"failures,omitempty"`
	FailingSince  *time.Time                 `json:"failingSince,omitempty"`
	LastFailure   string                     `json:"lastFailure,omitempty"`
}

type diskRoute struct {
	Destination netip.Prefix `json:"destination"`
	Hops        []diskHop    `json:"hops"`
	Metric      int          `json:"metric,omitempty"`
	Source      netip.Addr   `json:"source,omitzero"`
	Scope       int          `json:"scope,omitempty"`
	Protocol    int          `json:"protocol,omitempty"`
	MTU         int          `json:"mtu,omitempty"`
	AdvMSS      int          `json:"advMSS,omitempty"`
}

type diskHop struct {
	IfName  string     `json:"device"`
	Gateway netip.Addr `json:"gateway,omitzero"`
	OnLink  bool       `json:"onLink,omitempty"`
	Weight  int        `json:"weight,omitempty"`
}

type diskChain struct {
	CNIVersion   string            `json:"cniVersion"`
	Name         string            `json:"name"`
	DisableCheck bool              `json:"disableCheck,omitempty"`
	DisableGC    bool              `json:"disableGC,omitempty"`
	Plugins      []json.RawMessage `json:"plugins"`
}

// encode returns r as it is written to the disk.
func encode(r Record) ([]byte, error) {
	attachments, err := toDisk(r.Attachments)
	if err != nil {
		return nil, err
	}
	orphans, err := toDisk(r.Orphans)
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetEscapeHTML(false) // the escapes would take six bytes for one
	err = enc.Encode(diskRecord{
		Format:      Format,
		ContainerID: r.ContainerID,
		Netns:       diskNetns(r.Netns),
		Pod:         diskPod(r.Pod),
		Device:      r.IfName,
		Attachments: attachments,
		Orphans:     orphans,
	})
	return bytes.TrimSpace(data.Bytes()), err
}

func toDisk(list []Attachment) ([]diskAttachment, error) {
	var all []diskAttachment
	for _, a := range list {
		chain, err := chainToDisk(a.Config)
		if err != nil {
			return nil, fmt.Errorf("encode the configuration of %s: %w", a.IfName, err)
		}
		requests, err := a.Requests.Rest().Encode()
		if err != nil {
			return nil, fmt.Errorf("encode the requests of %s: %w", a.IfName, err)
		}
		all = append(all, diskAttachment{
			Network:       a.Network,
			Namespace:     a.Namespace,
			NPWG:          a.NPWG,
			Device:        a.IfName,
			MAC:           string(a.MAC),
			IPs:           a.IPs,
			Requests:      requests,
			ResourceName:  a.ResourceName,
			DeviceID:      a.Device,
			Config:        chain,
			RuntimeConfig: a.RuntimeConfig,
			PodagentSkip:  a.PodagentSkip,
			State:         string(a.State),
			Args:          a.Args,
			Created:       a.Created,
			Hot:           a.Hot,
			NoInterface:   a.NoInterface,
			PreviousMAC:   string(a.PreviousMAC),
			Routes:        routesToDisk(a.PreviousRoutes),
			DeviceInfo:    a.DeviceInfo,
			Result:        a.Result,
			TornDown:      a.TornDown,
			Failures:      a.Failures,
			FailingSince:  a.FailingSince,
			LastFailure:   a.LastFailure,
		})
	}
	return all, nil
}

func routesToDisk(routes []netns.Route) []diskRoute {
	var all []diskRoute
	for _, r := range routes {
		var hops []diskHop
		for _, hop := range r.Hops {
			hops = append(hops, diskHop(hop))
		}
		all = append(all, diskRoute{
			Destination: r.Destination,
			Hops:        hops,
			Metric:      r.Metric,
			Source:      r.Source,
			Scope:       r.Scope,
			Protocol:    r.Protocol,
			MTU:         r.MTU,
			AdvMSS:      r.AdvMSS,
		})
	}
	return all
}

func routesFromDisk(list []diskRoute) []netns.Route {
	var all []netns.Route
	for _, d := range list {
		var hops []netns.Hop
		for _, hop := range d.Hops {
			hops = append(hops, netns.Hop(hop))
		}
		all = append(all, netns.Route{
			Destination: d.Destination,
			Hops:        hops,
			Metric:      d.Metric,
			Source:      d.Source,
			Scope:       d.Scope,
			Protocol:    d.Protocol,
			MTU:         d.MTU,
			AdvMSS:      d.AdvMSS,
		})
	}
	return all
}

func chainToDisk(c cniconf.Chain) (diskChain, error) {
	disk := diskChain{CNIVersion: c.CNIVersion, Name: c.Name, DisableCheck: c.DisableCheck, DisableGC: c.DisableGC}
	for _, p := range c.Plugins {
		config, err := p.Stdin(nil)
		if err != nil {
			return diskChain{}, err
		}
		disk.Plugins = append(disk.Plugins, config)
	}
	return disk, nil
}

// decode parses the file of that container. What it holds is checked as other input is: the plugins
// of a delegate are run as root.
func decode(data []byte, containerID string) (Record, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := unmarshal(data, &head); err != nil {
		return Record{}, err
	}
	if head.Format != Format {
		return Record{}, fmt.Errorf("format %d, where this version of kactus reads format %d", head.Format, Format)
	}
	var disk diskRecord
	if err := unmarshal(data, &disk); err != nil {
		return Record{}, err
	}
	if disk.ContainerID != containerID {
		return Record{}, fmt.Errorf("the record of another container, %.64q", disk.ContainerID)
	}
	r := Record{
		ContainerID: disk.ContainerID,
		Netns:       netns.ID(disk.Netns),
		Pod:         podargs.Pod(disk.Pod),
		IfName:      disk.Device,
	}
	var err error
	if r.Attachments, err = fromDisk(disk.Attachments); err != nil {
		return Record{}, err
	}
	if r.Orphans, err = fromDisk(disk.Orphans); err != nil {
		return Record{}, err
	}
	return r, nil
}

// unmarshal decodes data into v. Its errors do not name Go's types.
func unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	return cmp.Or(strictjson.CheckSyntax(data), strictjson.Decode(data, v), err)
}

func fromDisk(list []diskAttachment) ([]Attachment, error) {
	var all []Attachment
	for _, d := range list {
		chain, err := chainFromDisk(d.Config)
		if err != nil {
			return nil, fmt.Errorf("the configuration of %.64q: %w", d.Device, err)
		}
		requests, err := network.DecodeRequests(d.Requests)
		if err != nil {
			return nil, fmt.Errorf("the requests of %.64q: %w", d.Device, err)
		}
		requests.MAC, requests.IPs = network.MAC(d.MAC), d.IPs
		all = append(all, Attachment{
			Attachment: plan.Attachment{
				Network:       d.Network,
				Namespace:     d.Namespace,
				NPWG:          d.NPWG,
				IfName:        d.Device,
				Requests:      requests,
				ResourceName:  d.ResourceName,
				Device:        d.DeviceID,
				Config:        chain,
				RuntimeConfig: d.RuntimeConfig,
				PodagentSkip:  d.PodagentSkip,
			},
			State:          State(d.State),
			Args:           d.Args,
			Created:        d.Created,
			Hot:            d.Hot,
			NoInterface:    d.NoInterface,
			PreviousMAC:    network.MAC(d.PreviousMAC),
			PreviousRoutes: routesFromDisk(d.Routes),
			DeviceInfo:     d.DeviceInfo,
			Result:         d.Result,
			TornDown:       d.TornDown,
			Failures:       d.Failures,
			FailingSince:   d.FailingSince,
			LastFailure:    d.LastFailure,
		})
	}
	return all, nil
}

func chainFromDisk(d diskChain) (cniconf.Chain, error) {
	chain := cniconf.Chain{CNIVersion: d.CNIVersion, Name: d.Name, DisableCheck: d.DisableCheck, DisableGC: d.DisableGC}
	for i, config := range d.Plugins {
		plugin, err := cniconf.ParsePlugin(config)
		if err != nil {
			return cniconf.Chain{}, fmt.Errorf("plugins[%d]: %w", i, err)
		}
		chain.Plugins = append(chain.Plugins, plugin)
	}
	return chain, nil
}
