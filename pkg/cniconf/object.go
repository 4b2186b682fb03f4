package cniconf

import "encoding/json"

// ParseObject parses a CNI configuration or a configuration list that has been unmarshaled. Its
// JSON must have passed strictjson.Check and a size limit. The object becomes part of the Chain, so
// it must not be used afterwards. The error names the field that is wrong.
func ParseObject(object map[string]json.RawMessage, def Defaults) (Chain, error) {
	chain := Chain{Name: def.Name, CNIVersion: def.CNIVersion}
	if err := chain.readHead(object); err != nil {
		return Chain{}, err
	}
	var err error
	if _, isList := object["plugins"]; isList {
		chain.Plugins, err = parseList(object, def)
	} else {
		chain.Plugins, err = parseOne(object, def)
	}
	if err != nil {
		return Chain{}, err
	}
	return chain, nil
}
