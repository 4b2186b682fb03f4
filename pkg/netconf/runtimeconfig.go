package netconf

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// runtimeConfig returns what the runtime sets, by capability, and the selection of a hot operation,
// which is for kactus alone.
func (p *parser) runtimeConfig() (conf map[string]json.RawMessage, selection *network.Selection) {
	p.decode("runtimeConfig", "an object", &conf)
	for _, key := range slices.Sorted(maps.Keys(conf)) {
		switch {
		case key == SelectionCapability:
			selection = p.selection(conf[key])
		case strings.EqualFold(key, SelectionCapability): // would be passed over, as what a plugin may know
			p.fail("runtimeConfig: %s: spelled %q", SelectionCapability, key)
			selection = &network.Selection{}
		}
	}
	delete(conf, SelectionCapability)
	return conf, selection
}

func (p *parser) selection(element json.RawMessage) *network.Selection {
	selection, err := network.ParseSelection(element)
	if err != nil {
		for problem := range strings.SplitSeq(err.Error(), "\n") {
			p.fail("runtimeConfig: %s: %s", SelectionCapability, problem)
		}
		return &network.Selection{}
	}
	return &selection
}
