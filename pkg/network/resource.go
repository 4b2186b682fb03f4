package network

import (
	"cmp"
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// Network is the custom resource networks.kaloom.com/v1, which says how to attach a Pod to a
// network.
type Network struct {
	Name      string
	Namespace string
	// Plugin is the delegate's type where Config has none.
	Plugin string
	// Config is a CNI configuration or a configuration list, as JSON.
	Config string
}

// Parse parses a Network object of the apiserver. It ignores keys that kactus does not use.
func Parse(object []byte) (Network, error) {
	var raw struct {
		Metadata struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
		Spec struct {
			Plugin string `json:"plugin"`
			Config string `json:"config"`
		} `json:"spec"`
	}
	if err := strictjson.Decode(object, &raw); err != nil {
		return Network{}, err
	}
	return Network{
		Name:      raw.Metadata.Name,
		Namespace: raw.Metadata.Namespace,
		Plugin:    raw.Spec.Plugin,
		Config:    raw.Spec.Config,
	}, nil
}

// Chain returns the delegate's configuration (CNI specification, section 1). Where Config does not
// set them, its name is that of the Network and its version is cniVersion. Each plugin gets the
// Network's name as networkName. The error names the field of the Network that is wrong.
func (n Network) Chain(cniVersion string) (cniconf.Chain, error) {
	if n.Plugin != "" {
		if err := cniconf.ValidateType(n.Plugin); err != nil {
			return cniconf.Chain{}, fmt.Errorf("spec.plugin: %w", err)
		}
	}
	chain, err := cniconf.Parse([]byte(cmp.Or(n.Config, "{}")), cniconf.Defaults{
		Type:       n.Plugin,
		Name:       n.Name,
		CNIVersion: cniVersion,
		Keys:       map[string]string{"networkName": n.Name},
	})
	if err != nil {
		return cniconf.Chain{}, fmt.Errorf("spec.config: %w", err)
	}
	return chain, nil
}
