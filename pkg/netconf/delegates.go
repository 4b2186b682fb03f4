package netconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/cniconf"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/network"
)

// delegates returns the master delegate, and the others in their order. Where any delegate is
// invalid, it returns none.
func (p *parser) delegates(netconfName, cniVersion string) (master cniconf.Chain, auxiliary []cniconf.Chain) {
	before := len(p.problems)
	var elements []json.RawMessage
	if p.decode("delegates", "an array", &elements) {
		if netconfName == "" {
			netconfName = "unnamed" // reported already
		}
		master, auxiliary = p.parseDelegates(elements, cniconf.Defaults{Name: netconfName, CNIVersion: cniVersion})
	}
	if len(p.problems) > before {
		return cniconf.Chain{}, nil
	}
	return master, auxiliary
}

func (p *parser) parseDelegates(
	elements []json.RawMessage, def cniconf.Defaults,
) (master cniconf.Chain, auxiliary []cniconf.Chain) {
	before, masterIndex := len(p.problems), -1
	byIfName := map[string]string{}
	for i, element := range elements {
		chain, isMaster, err := parseDelegate(element, def)
		switch {
		case err != nil:
			for problem := range strings.SplitSeq(err.Error(), "\n") {
				p.fail("delegates[%d]: %s", i, problem)
			}
		case isMaster && masterIndex >= 0:
			p.fail("delegates[%d]: masterPlugin: delegates[%d] already is the master delegate", i, masterIndex)
		case isMaster:
			master, masterIndex = chain, i
		default:
			ifName := network.DeviceName(chain.Name)
			if other, taken := byIfName[ifName]; taken {
				p.fail("delegates[%d]: name: the delegates %s and %s have the same device name, %s",
					i, other, chain.Name, ifName)
			}
			byIfName[ifName] = chain.Name
			auxiliary = append(auxiliary, chain)
		}
	}
	if masterIndex < 0 && len(p.problems) == before {
		p.fail(`delegates: exactly one must have "masterPlugin": true`)
	}
	return master, auxiliary
}

func parseDelegate(element []byte, def cniconf.Defaults) (chain cniconf.Chain, isMaster bool, err error) {
	if len(element) > cniconf.MaxSize {
		return cniconf.Chain{}, false, fmt.Errorf("%d bytes, limit is %d", len(element), cniconf.MaxSize)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(element, &object); err != nil || object == nil {
		return cniconf.Chain{}, false, errors.New("must be a JSON object")
	}
	for key := range object { // kactus's own key: unknown keys of a delegate are passed over
		if key != "masterPlugin" && strings.EqualFold(key, "masterPlugin") {
			return cniconf.Chain{}, false, fmt.Errorf("masterPlugin: spelled %q", key)
		}
	}
	if raw, ok := object["masterPlugin"]; ok {
		if err := json.Unmarshal(raw, &isMaster); err != nil {
			return cniconf.Chain{}, false, errors.New("masterPlugin: must be true or false")
		}
		delete(object, "masterPlugin") // kactus's own key, which the plugin does not know
	}
	var unnamed error
	if _, ok := object["name"]; !ok && !isMaster {
		unnamed = errors.New("name: missing, and only the master delegate has a default")
	}
	chain, err = cniconf.ParseObject(object, def)
	return chain, isMaster, errors.Join(unnamed, err)
}
