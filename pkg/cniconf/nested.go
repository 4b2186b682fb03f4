package cniconf

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// checkPaths returns an error if a "type" anywhere in value, the part of a plugin's configuration
// at the key path, is a file path. Plugins name there what they run themselves, such as the IPAM
// plugin of flannel's delegate or the delegates of another meta-plugin. The keys around it differ,
// but all of them call it "type".
func checkPaths(value json.RawMessage, path string) error {
	switch {
	case len(value) == 0:
		return nil
	case value[0] == '[':
		var list []json.RawMessage
		if err := json.Unmarshal(value, &list); err != nil {
			return err
		}
		for i, element := range list {
			if err := checkPaths(element, path+"["+strconv.Itoa(i)+"]"); err != nil {
				return err
			}
		}
		return nil
	case value[0] != '{':
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(value, &object); err != nil {
		return err
	}
	for key, inner := range object {
		if strings.EqualFold(key, "type") && isPath(inner) {
			return fmt.Errorf("%s.%s: a path, not the name of a plugin", path, key)
		}
		if err := checkPaths(inner, path+"."+key); err != nil {
			return err
		}
	}
	return nil
}

func isPath(value json.RawMessage) bool {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return false
	}
	return strings.ContainsAny(text, "/\x00") || text == "." || text == ".."
}
