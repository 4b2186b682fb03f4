package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/agent"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/kube"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/plan"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// A standIn is the ledger, the kernel and the kactus of a simulated node, all in memory. Of what a
// hot operation costs, it only has what the apiserver sees of it: a connection and a request.
type standIn struct {
	lab     *lab
	netconf agent.Netconf
	agent.API
	reported atomic.Int64 // conditions that the agent has set

	mu      sync.Mutex
	records map[string]ledger.Record // by container ID, which is also the path of the namespace
	changed func(containerID string)
	done    map[string]chan time.Time // by container ID: where the end of a hot operation is told
}

// newStandIn returns the stand-in for the node of these Pods, to each of which one network is
// attached.
func (l *lab) newStandIn(netconf agent.Netconf, pods []podObject) *standIn {
	s := &standIn{
		lab: l, netconf: netconf, records: map[string]ledger.Record{}, done: map[string]chan time.Time{},
		changed: func(string) {},
	}
	for i, p := range pods {
		s.records[p.name] = ledger.Record{
			ContainerID: p.name,
			Netns:       netns.ID{Path: p.name, Inode: uint64(i) + 1},
			Pod:         podargs.Pod{Namespace: p.namespace, Name: p.name, UID: p.uid, InfraContainerID: p.name},
			IfName:      eth0,
			Attachments: []ledger.Attachment{attached(defaultNet, "", eth0), attachedNetwork(p.networks[0])},
		}
		s.done[p.name] = make(chan time.Time, 1)
	}
	return s
}

func attached(name, namespace, ifName string) ledger.Attachment {
	return ledger.Attachment{
		Attachment: plan.Attachment{Network: name, Namespace: namespace, IfName: ifName},
		State:      ledger.Attached,
		Created:    time.Now(),
		Result:     json.RawMessage(`{"cniVersion":"` + cniVersion + `"}`),
	}
}

func attachedNetwork(name string) ledger.Attachment {
	return attached(name, namespace, network.DeviceName(name))
}

// PatchStatus implements agent.API.
func (s *standIn) PatchStatus(
	ctx context.Context, namespace, name string, patch kube.StatusPatch,
) (kube.PatchedStatus, error) {
	patched, err := s.API.PatchStatus(ctx, namespace, name, patch)
	if err == nil && patch.Condition != nil {
		s.reported.Add(1)
	}
	return patched, err
}

// Records implements agent.Ledger.
func (s *standIn) Records() iter.Seq2[ledger.Record, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []ledger.Record
	for _, record := range s.records {
		all = append(all, record)
	}
	return func(yield func(ledger.Record, error) bool) {
		for _, record := range all {
			if !yield(record, nil) {
				return
			}
		}
	}
}

// Heads implements agent.Ledger.
func (s *standIn) Heads() iter.Seq2[ledger.Head, error] {
	return func(yield func(ledger.Head, error) bool) {
		for record := range s.Records() {
			if !yield(ledger.Head{ContainerID: record.ContainerID, Pod: record.Pod}, nil) {
				return
			}
		}
	}
}

// ReadRecord implements agent.Ledger.
func (s *standIn) ReadRecord(containerID string) (ledger.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, ok := s.records[containerID]
	if !ok {
		return record, fs.ErrNotExist
	}
	return record, nil
}

// ReadHead implements agent.Ledger.
func (s *standIn) ReadHead(containerID string) (ledger.Head, error) {
	record, err := s.ReadRecord(containerID)
	return ledger.Head{ContainerID: containerID, Pod: record.Pod}, err
}

// Busy implements agent.Ledger.
func (s *standIn) Busy(string) bool { return false }

// Watch implements agent.Ledger.
func (s *standIn) Watch(ctx context.Context, started func(), changed func(containerID string)) error {
	s.mu.Lock()
	s.changed = changed
	s.mu.Unlock()
	started()
	<-ctx.Done()
	return nil
}

// Identify implements agent.Kernel.
func (s *standIn) Identify(path string) (netns.ID, error) {
	record, err := s.ReadRecord(path)
	return record.Netns, err
}

// Interfaces implements agent.Kernel.
func (s *standIn) Interfaces(path string) ([]netns.Interface, error) {
	record, err := s.ReadRecord(path)
	var all []netns.Interface
	for _, a := range record.Attachments {
		all = append(all, netns.Interface{Name: a.IfName})
	}
	return all, err
}

// Netconf implements agent.Kactus.
func (s *standIn) Netconf() (agent.Netconf, error) { return s.netconf, nil }

// Reclaim implements agent.Kactus.
func (s *standIn) Reclaim(context.Context) error { return nil }

// Run implements agent.Kactus: it does in the ledger what kactus would do, and sends the request
// that kactus would send.
func (s *standIn) Run(ctx context.Context, call agent.Call) error {
	name, found := "", false
	for arg := range strings.SplitSeq(call.Args, ";") {
		if value, ok := strings.CutPrefix(arg, "K8S_POD_NETWORK="); ok {
			name, found = value, true
		}
	}
	if !found {
		return fmt.Errorf("no network in %q", call.Args)
	}
	if call.Command == add.cni() {
		if err := s.lab.getNetwork(ctx, name); err != nil {
			return err
		}
	}
	s.mu.Lock()
	record := s.records[call.ContainerID]
	record.Attachments = slices.DeleteFunc(slices.Clone(record.Attachments), func(a ledger.Attachment) bool {
		return a.IfName == call.IfName
	})
	if call.Command == add.cni() {
		record.Attachments = append(record.Attachments, attachedNetwork(name))
	}
	s.records[call.ContainerID] = record
	changed, done := s.changed, s.done[call.ContainerID]
	s.mu.Unlock()
	done <- time.Now()
	changed(call.ContainerID)
	return nil
}

// getNetwork reads a Network as a process of kactus would: on a connection of its own.
func (l *lab) getNetwork(ctx context.Context, name string) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.cp.CAPEM())
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
	}
	defer transport.CloseIdleConnections()
	url := l.cp.URL() + "/apis/kaloom.com/v1/namespaces/" + namespace + "/networks/" + name
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+userToken)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reading the Network %s: %s, %w", name, resp.Status, err)
	}
	return nil
}
