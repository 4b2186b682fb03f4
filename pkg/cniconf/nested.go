package cniconf

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// checkPaths refuses a path as the type of anything inside a plugin's configuration: what a plugin runs itself is named there, such as
// the IPAM plugin of flannel's delegate, or the delegates of another meta-plugin, and by whatever key, the word is type.
func checkPaths(value json.RawMessage, at string) error {
	switch {
	case len(value) == 0:
		return nil
	case value[0] == '[':
		var list []json.RawMessage
		if err := json.Unmarshal(value, &list); err != nil {
			return err
		}
		for i, element := range list {
			if err := checkPaths(element, at+"["+strconv.Itoa(i)+"]"); err != nil {
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
			return fmt.Errorf("%s.%s: it is a path, not a plugin's name", at, key)
		}
		if err := checkPaths(inner, at+"."+key); err != nil {
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
