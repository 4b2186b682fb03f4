package nullipam

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/utils"
	"github.com/containernetworking/cni/pkg/version"
	vnetns "github.com/vishvananda/netns"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netns"
)

// conf is what an operation needs of the main plugin's configuration.
type conf struct {
	CNIVersion string          `json:"cniVersion"`
	Name       string          `json:"name"`
	PrevResult json.RawMessage `json:"prevResult"`
}

func parseConf(operation string, stdin []byte) (conf, error) {
	var c conf
	if err := json.Unmarshal(stdin, &c); err != nil {
		return conf{}, fail(types.ErrDecodingFailure, "decode the configuration: %v", err)
	}
	if c.CNIVersion == "" { // as the CNI library has it
		c.CNIVersion = "0.1.0"
	}
	if !slices.Contains(version.All.SupportedVersions(), c.CNIVersion) {
		return conf{}, fail(types.ErrIncompatibleCNIVersion, "configuration: cniVersion: %.64q is not one of %q",
			c.CNIVersion, version.All.SupportedVersions())
	}
	if !cniconf.SupportsOperation(c.CNIVersion, operation) {
		return conf{}, fail(types.ErrIncompatibleCNIVersion,
			"configuration: cniVersion: version %s of the CNI specification has no %s", c.CNIVersion, operation)
	}
	return c, nil
}

// attachment is the container's interface that an operation is for.
type attachment struct {
	containerID string
	netns       string
	ifName      string
}

func parseAttachment(getenv func(string) string) (attachment, error) {
	at := attachment{getenv("CNI_CONTAINERID"), getenv("CNI_NETNS"), getenv("CNI_IFNAME")}
	if err := utils.ValidateContainerID(at.containerID); err != nil {
		return at, fail(types.ErrInvalidEnvironmentVariables, "CNI_CONTAINERID: %v", err)
	}
	if err := utils.ValidateInterfaceName(at.ifName); err != nil {
		return at, fail(types.ErrInvalidEnvironmentVariables, "CNI_IFNAME: %v", err)
	}
	switch {
	case at.netns == "":
		return at, fail(types.ErrInvalidEnvironmentVariables, "CNI_NETNS: missing")
	case !filepath.IsAbs(at.netns):
		return at, fail(types.ErrInvalidEnvironmentVariables, "CNI_NETNS: %.128q is not an absolute path", at.netns)
	}
	return at, nil
}

// inNetns calls do on a thread in the attachment's network namespace. The kernel shows a thread the
// sysctls of its own namespace alone, so a netlink socket in the namespace would not be enough.
func (at attachment) inNetns(do func() error) error {
	if err := at.checkNetns(); err != nil {
		return fail(types.ErrInvalidNetNS, "CNI_NETNS: %v", err)
	}
	runtime.LockOSThread() // for good, if the way back fails
	own, err := vnetns.Get()
	if err != nil {
		return err
	}
	defer own.Close()
	target, err := vnetns.GetFromPath(at.netns)
	if err == nil {
		defer target.Close()
		err = vnetns.Set(target)
	}
	if err != nil {
		return fail(types.ErrInvalidNetNS, "enter the network namespace %s: %v", at.netns, err)
	}
	defer func() {
		if vnetns.Set(own) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return do()
}

// checkNetns reports what is no network namespace, or the node's own, whose interfaces must keep
// their addresses.
func (at attachment) checkNetns() error {
	id, err := netns.Identify(at.netns)
	if err != nil {
		return err
	}
	own, err := netns.Own()
	if err != nil {
		return err
	}
	if id.Same(own) {
		return errors.New(at.netns + " is the node's own network namespace")
	}
	return nil
}
