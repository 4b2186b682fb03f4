package agent

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// Netconf is the node's netconf.
type Netconf struct {
	// Path is the file that has it.
	Path string
	// Stdin is what kactus gets of the file.
	Stdin []byte
	Conf  netconf.Conf
}

// Call is a hot operation, as kactus is executed for it: its parameters (CNI specification, section
// 2) and its stdin.
type Call struct {
	Command, ContainerID, Netns, IfName, Args string
	Stdin                                     []byte
}

// newCall returns the hot operation of a step.
func newCall(v view, step Step) (Call, error) {
	stdin, err := withSelection(v.netconf.Stdin, step)
	if err != nil {
		return Call{}, fmt.Errorf("pass the selection on in the netconf %s: %w", v.netconf.Path, err)
	}
	return Call{
		Command:     string(step.Operation),
		ContainerID: v.record.ContainerID,
		Netns:       v.record.Netns.Path,
		IfName:      step.IfName,
		Args: strings.Join([]string{
			"IgnoreUnknown=1",
			"K8S_POD_NAMESPACE=" + v.pod.Namespace,
			"K8S_POD_NAME=" + v.pod.Name,
			"K8S_POD_INFRA_CONTAINER_ID=" + v.record.ContainerID,
			"K8S_POD_NETWORK=" + step.Selection.Name,
			"K8S_POD_IFMAC=" + string(step.Selection.MAC),
		}, ";"),
		Stdin: stdin,
	}, nil
}

// withSelection returns the netconf with the whole selection in its runtimeConfig. A DEL goes by
// the ledger, and needs none, unless the interface has another name than the computed one.
func withSelection(stdin []byte, step Step) ([]byte, error) {
	if step.Operation != Add && step.Selection.IfName == "" {
		return stdin, nil
	}
	var object, runtimeConfig map[string]json.RawMessage
	if err := json.Unmarshal(stdin, &object); err != nil {
		return nil, err
	}
	if raw := object["runtimeConfig"]; raw != nil {
		if err := json.Unmarshal(raw, &runtimeConfig); err != nil {
			return nil, fmt.Errorf("runtimeConfig: %w", err)
		}
	}
	if runtimeConfig == nil {
		runtimeConfig = map[string]json.RawMessage{}
	}
	var err error
	if runtimeConfig[netconf.SelectionCapability], err = json.Marshal(step.Selection); err != nil {
		return nil, err
	}
	if object["runtimeConfig"], err = json.Marshal(runtimeConfig); err != nil {
		return nil, err
	}
	return json.Marshal(object)
}
