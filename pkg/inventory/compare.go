package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/device"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// Finding is how an attachment compares with the kernel.
type Finding struct {
	Attachment
	// Busy says that a verb works at the container, so that nothing else can be said.
	Busy bool `json:"busy,omitempty"`
	// Problem is what is off; empty where nothing is.
	Problem string `json:"problem,omitempty"`
}

// Off says whether something is.
func (f Finding) Off() bool { return f.Problem != "" }

// Compare compares each attachment of the ledger in the folder dir with the kernel: its network namespace must be there, with the device in
// it, and that have the MAC address and the IP addresses that its delegate gave it. A record that cannot be read is a finding, too.
func Compare(dir string) ([]Finding, error) {
	snapshot, err := ledger.Read(dir)
	if err != nil {
		return nil, err
	}
	live, err := ledger.LookAround()
	if err != nil {
		return nil, err
	}
	all := []Finding{}
	for _, r := range snapshot.Records {
		found := compareRecord(dir, live, r)
		if slices.ContainsFunc(found, Finding.Off) {
			found = compareAgain(dir, live, r.ContainerID, found)
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return byPod(a.Attachment, b.Attachment) })
	for _, u := range snapshot.Unread {
		all = append(all, Finding{Attachment: Attachment{ContainerID: u.ContainerID}, Problem: u.String()})
	}
	return all, nil
}

// compareAgain compares the record as it is now: a verb that has ended since it was read may have made the difference.
func compareAgain(dir string, live ledger.Live, containerID string, before []Finding) []Finding {
	r, err := ledger.ReadRecord(dir, containerID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return before
	}
	return compareRecord(dir, live, r)
}

func compareRecord(dir string, live ledger.Live, r ledger.Record) []Finding {
	devices, err := openDevices(live, r.Netns)
	if err == nil {
		defer devices.Close()
	}
	var found []Finding
	for _, a := range ofRecord(r) {
		problem := stateProblem(a)
		if problem == "" && err != nil {
			problem = err.Error()
		} else if problem == "" {
			problem = deviceProblem(devices, a)
		}
		found = append(found, Finding{Attachment: a, Problem: problem})
	}
	if slices.ContainsFunc(found, Finding.Off) && ledger.Busy(dir, r.ContainerID) {
		for i := range found {
			found[i].Busy, found[i].Problem = true, ""
		}
	}
	return found
}

// openDevices opens the namespace where it is still the one that was recorded.
func openDevices(live ledger.Live, recorded ledger.Netns) (*device.Namespace, error) {
	switch {
	case live.Ended(recorded):
		return nil, errors.New("the network namespace is gone")
	case !live.Sees(recorded):
		return nil, errors.New("the network namespace cannot be seen from here, which is not the container runtime's mount namespace")
	}
	now, err := ledger.Identify(recorded.Path)
	if err != nil {
		return nil, err
	}
	if !now.Same(recorded) {
		return nil, fmt.Errorf("the network namespace is no longer at %s", recorded.Path)
	}
	return device.Open(recorded.Path)
}

func stateProblem(a Attachment) string {
	switch {
	case a.State == Orphan:
		return "a DEL gave it up: " + a.LastFailure
	case a.Failures > 0:
		return fmt.Sprintf("a DEL of it failed (%d times): %s", a.Failures, a.LastFailure)
	case a.State == string(ledger.Planned):
		return "it is half made"
	}
	return ""
}

func deviceProblem(devices *device.Namespace, a Attachment) string {
	mac, err := devices.MAC(a.Device)
	if errors.Is(err, device.ErrAbsent) {
		return "there is no such device"
	}
	if err != nil {
		return err.Error()
	}
	addresses, err := devices.Addresses(a.Device)
	if err != nil {
		return err.Error()
	}
	var off []string
	if a.MAC != "" && !strings.EqualFold(a.MAC, string(mac)) {
		off = append(off, fmt.Sprintf("the MAC address is %s, not %s", mac, a.MAC))
	}
	for _, ip := range a.IPs {
		// A delegate may give a device another prefix length than its result says.
		if !slices.ContainsFunc(addresses, func(p netip.Prefix) bool { return p.Addr() == ip.Addr() }) {
			off = append(off, fmt.Sprintf("the address %s is missing", ip))
		}
	}
	return strings.Join(off, "; ")
}
