package network

import (
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/strictjson"
)

// Network is the custom resource networks.kaloom.com/v1: how to make a network.
type Network struct {
	Name      string
	Namespace string
	// Plugin is the delegate's type, where Config has none.
	Plugin string
	// Config is a CNI configuration or a configuration list, as JSON.
	Config string
}

// Parse reads a Network object as the apiserver answers it.
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
	return Network{Name: raw.Metadata.Name, Namespace: raw.Metadata.Namespace, Plugin: raw.Spec.Plugin, Config: raw.Spec.Config}, nil
}

// Chain is the delegate's configuration that the Network says, complete: its name defaults to the Network's, its version of the
// CNI specification to cniVersion, and each plugin is told the Network's name as networkName.
func (n Network) Chain(cniVersion string) (cniconf.Chain, error) {
	if n.Plugin != "" {
		if err := cniconf.ValidateType(n.Plugin); err != nil {
			return cniconf.Chain{}, fmt.Errorf("spec.plugin: %w", err)
		}
	}
	config := n.Config
	if config == "" {
		config = "{}"
	}
	chain, err := cniconf.Parse([]byte(config), cniconf.Defaults{
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
