package network

import (
	"cmp"
	"fmt"

	nettypes "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// ResourceAnnotation is the key of the annotation of a Network or NetworkAttachmentDefinition that
// names the resource of which an attachment needs a device.
const ResourceAnnotation = "k8s.v1.cni.cncf.io/resourceName"

// Network says how to attach a Pod to a network: the custom resource networks.kaloom.com/v1, or the
// NetworkAttachmentDefinition of the Network Plumbing Working Group.
type Network struct {
	Name      string
	Namespace string
	// Plugin is the delegate's type where Config has none.
	Plugin string
	// Config is a CNI configuration or a configuration list, as JSON.
	Config string
	// Source is where Config is from; empty for the object's own spec.
	Source string
	// ResourceName is the resource of which an attachment needs a device; empty for none.
	ResourceName string
	// NPWG means that the object is a NetworkAttachmentDefinition.
	NPWG bool
}

// Parse parses a Network object of the apiserver. It ignores keys that kactus does not use.
func Parse(object []byte) (Network, error) {
	var raw struct {
		Metadata rawMetadata `json:"metadata"`
		Spec     struct {
			Plugin string `json:"plugin"`
			Config string `json:"config"`
		} `json:"spec"`
	}
	if err := strictjson.Decode(object, &raw); err != nil {
		return Network{}, err
	}
	n := raw.Metadata.network()
	n.Plugin, n.Config = raw.Spec.Plugin, raw.Spec.Config
	return n, nil
}

// ParseNPWGObject parses a NetworkAttachmentDefinition object of the apiserver. It ignores keys
// that kactus does not use.
func ParseNPWGObject(object []byte) (Network, error) {
	var raw struct {
		Metadata rawMetadata                              `json:"metadata"`
		Spec     nettypes.NetworkAttachmentDefinitionSpec `json:"spec"`
	}
	if err := strictjson.Decode(object, &raw); err != nil {
		return Network{}, err
	}
	n := raw.Metadata.network()
	n.Config, n.NPWG = raw.Spec.Config, true
	return n, nil
}

// rawMetadata is what kactus reads of an object's metadata.
type rawMetadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Annotations map[string]string `json:"annotations"`
}

func (m rawMetadata) network() Network {
	return Network{Name: m.Name, Namespace: m.Namespace, ResourceName: m.Annotations[ResourceAnnotation]}
}

// Chain returns the delegate's configuration (CNI specification, section 1). Where Config does not
// set them, its name is that of the object and its version is cniVersion. Each plugin of a Network
// gets the Network's name as networkName. The error names the field of the object that is wrong.
func (n Network) Chain(cniVersion string) (cniconf.Chain, error) {
	if n.ResourceName != "" {
		if err := ValidateResource(n.ResourceName); err != nil {
			return cniconf.Chain{}, fmt.Errorf("the annotation %s: %w", ResourceAnnotation, err)
		}
	}
	if n.Plugin != "" {
		if err := cniconf.ValidateType(n.Plugin); err != nil {
			return cniconf.Chain{}, fmt.Errorf("spec.plugin: %w", err)
		}
	}
	defaults := cniconf.Defaults{Type: n.Plugin, Name: n.Name, CNIVersion: cniVersion}
	if !n.NPWG {
		defaults.Keys = map[string]string{"networkName": n.Name}
	}
	chain, err := cniconf.Parse([]byte(cmp.Or(n.Config, "{}")), defaults)
	if err != nil {
		return cniconf.Chain{}, fmt.Errorf("%s: %w", cmp.Or(n.Source, "spec.config"), err)
	}
	return chain, nil
}
