package netconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// delegates reads the section of that name: exactly one master, the others with names of their own.
func (r *reader) delegates(netconfName, cniVersion string) (master cniconf.Chain, auxiliary []cniconf.Chain) {
	var elements []json.RawMessage
	r.decode("delegates", "an array", &elements)
	if len(elements) == 0 {
		r.fail("delegates: there is none, and one must have \"masterPlugin\": true")
		return cniconf.Chain{}, nil
	}
	if !cniconf.IsNetworkName(netconfName) {
		netconfName = "unnamed" // which is a problem already, and not also the delegates'
	}
	before := len(r.problems)
	masterAt := -1
	byDevice := map[string]string{}
	for i, element := range elements {
		chain, isMaster, err := parseDelegate(element, netconfName, cniVersion)
		switch {
		case err != nil:
			for problem := range strings.SplitSeq(err.Error(), "\n") {
				r.fail("delegates[%d]: %s", i, problem)
			}
		case isMaster && masterAt >= 0:
			r.fail("delegates[%d]: masterPlugin: delegates[%d] is the master delegate already", i, masterAt)
		case isMaster:
			master, masterAt = chain, i
		default:
			device := network.DeviceName(chain.Name)
			if other, taken := byDevice[device]; taken {
				r.fail("delegates[%d]: name: the delegates %s and %s have the same device name, %s", i, other, chain.Name, device)
			}
			byDevice[device] = chain.Name
			auxiliary = append(auxiliary, chain)
		}
	}
	if masterAt < 0 && len(r.problems) == before {
		r.fail("delegates: none has \"masterPlugin\": true")
	}
	if len(r.problems) > before {
		return cniconf.Chain{}, nil
	}
	return master, auxiliary
}

func parseDelegate(element []byte, netconfName, cniVersion string) (cniconf.Chain, bool, error) {
	var conf map[string]json.RawMessage
	if err := json.Unmarshal(element, &conf); err != nil || conf == nil {
		return cniconf.Chain{}, false, fmt.Errorf("not a JSON object")
	}
	isMaster := false
	if raw, ok := conf["masterPlugin"]; ok {
		if err := json.Unmarshal(raw, &isMaster); err != nil {
			return cniconf.Chain{}, false, fmt.Errorf("masterPlugin: not true or false")
		}
		delete(conf, "masterPlugin") // it is kactus's, not the plugin's
	}
	var nameless error
	if _, named := conf["name"]; !named && !isMaster {
		nameless = errors.New("name: there is none, and only the master delegate can do without")
	}
	data, err := json.Marshal(conf)
	if err != nil {
		return cniconf.Chain{}, false, err
	}
	chain, err := cniconf.Parse(data, cniconf.Defaults{Name: netconfName, CNIVersion: cniVersion})
	return chain, isMaster, errors.Join(nameless, err)
}
