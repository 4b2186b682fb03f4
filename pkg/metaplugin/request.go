package metaplugin

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/containernetworking/cni/pkg/utils"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/podargs"
)

// Request is what the runtime, or a node agent, asks of an operation.
type Request struct {
	// Operation is the CNI_COMMAND.
	Operation   string
	ContainerID string
	// Netns is the path of the Pod's network namespace. That of a DEL may be empty, or lead
	// nowhere.
	Netns string
	// IfName is the interface of the default network; for a hot operation, that of the one network.
	IfName string
	Args   podargs.Args
	// PluginDirs is CNI_PATH as a list.
	PluginDirs []string
	Conf       netconf.Conf
	// Warnings are what is wrong with the netconf and the CNI_ARGS of a DEL, which goes on with
	// what is valid.
	Warnings []error
}

// NewRequest returns the request that the environment and stdin make (CNI specification, section 2,
// "Parameters"). In case of an error, which is a *types.Error, the request holds what is valid of
// it, so that the error can be logged as the netconf says.
func NewRequest(operation string, getenv func(string) string, stdin []byte) (Request, error) {
	req := Request{Operation: operation, PluginDirs: filepath.SplitList(getenv("CNI_PATH"))}
	err := errors.Join(req.readEnvironment(getenv), req.readNetconf(stdin))
	if err == nil {
		err = req.checkSelection()
	}
	return req, asCNI(err)
}

func (r *Request) readEnvironment(getenv func(string) string) error {
	if len(r.PluginDirs) == 0 {
		return environmentError("CNI_PATH", errMissing)
	}
	if r.forNode() {
		return nil
	}
	r.ContainerID, r.Netns, r.IfName = getenv("CNI_CONTAINERID"), getenv("CNI_NETNS"), getenv("CNI_IFNAME")
	if err := podargs.ValidateContainerID(r.ContainerID); err != nil {
		return environmentError("CNI_CONTAINERID", err)
	}
	if err := utils.ValidateInterfaceName(r.IfName); err != nil {
		return environmentError("CNI_IFNAME", err)
	}
	switch {
	case r.Netns == "" && r.Operation != "DEL":
		return environmentError("CNI_NETNS", errMissing)
	case r.Netns != "" && !filepath.IsAbs(r.Netns):
		return environmentError("CNI_NETNS", fmt.Errorf("%.128q is not an absolute path", r.Netns))
	}
	return r.readArgs(getenv("CNI_ARGS"))
}

func (r *Request) readArgs(cniArgs string) (err error) {
	var warnings []error
	if r.Operation == "DEL" {
		r.Args, warnings, err = podargs.ParseForDel(cniArgs)
	} else {
		r.Args, err = podargs.Parse(cniArgs)
	}
	for _, w := range warnings {
		r.Warnings = append(r.Warnings, fmt.Errorf("CNI_ARGS: %w", w))
	}
	if err != nil {
		return environmentError("CNI_ARGS", err)
	}
	return nil
}

var errMissing = errors.New("missing")

func (r *Request) readNetconf(stdin []byte) (err error) {
	var warning *netconf.Error
	if r.Operation == "DEL" {
		r.Conf, warning, err = netconf.ParseForDel(stdin)
	} else {
		r.Conf, err = netconf.Parse(stdin)
	}
	if warning != nil {
		r.Warnings = append(r.Warnings, fmt.Errorf("netconf: %w", warning))
	}
	if err != nil {
		return fmt.Errorf("netconf: %w", err)
	}
	return nil
}

// forNode reports whether the operation is for no container.
func (r *Request) forNode() bool { return r.Operation == "GC" || r.Operation == "STATUS" }

// UnknownOperation returns the error of a CNI_COMMAND that the specification does not have.
func UnknownOperation(command string) error {
	cause := fmt.Errorf("%.64q is not an operation of the CNI specification", command)
	return asCNI(environmentError("CNI_COMMAND", cause))
}

// StdinError returns the error of a netconf that cannot be read from stdin.
func StdinError(cause error) error {
	return asCNI(ioError(fmt.Errorf("read the netconf from stdin: %w", cause)))
}

// defaultIfName returns the interface of the default network; empty for a hot operation.
func (r *Request) defaultIfName() string {
	if r.Args.Hot != nil {
		return ""
	}
	return r.IfName
}

// prevResult returns the result that the runtime passes for the default network; nil if there is
// none.
func (r *Request) prevResult() (*cniconf.Result, error) {
	if r.Conf.PrevResult == nil || r.Args.Hot != nil {
		return nil, nil
	}
	printed, err := create.Create(r.Conf.CNIVersion, r.Conf.PrevResult)
	var result *cniconf.Result
	if err == nil {
		result, err = cniconf.NewResult(printed)
	}
	if err != nil {
		return nil, configError(fmt.Errorf("netconf: prevResult: %w", err))
	}
	return result, nil
}

// checkVersion reports an operation that the netconf's version of the specification does not have.
func (r *Request) checkVersion(operation string) error {
	if cniconf.SupportsOperation(r.Conf.CNIVersion, operation) {
		return nil
	}
	return versionError(fmt.Errorf("netconf: cniVersion: version %s of the CNI specification has no %s",
		r.Conf.CNIVersion, operation))
}

// checkHotIfName requires whoever asks for one network to name its interface, so that a call that
// confuses one network with the whole Pod has no effect: the interface of the selection, else the
// network's device name, or one on which the record, of a DEL or a CHECK, has the network.
func (r *Request) checkHotIfName(record ledger.Record) error {
	want := network.DeviceName(r.Args.Hot.Network)
	if s := r.Conf.Selection; s != nil {
		want = cmp.Or(s.IfName, want)
	}
	a, attached := record.Find(r.IfName)
	if r.IfName == want || attached && a.IfName != record.IfName && a.Network == r.Args.Hot.Network {
		return nil
	}
	return environmentError("CNI_IFNAME", fmt.Errorf(
		"%q is not %s, the interface of the network %s, which a hot ADD or DEL must name",
		r.IfName, want, r.Args.Hot.Network))
}
