package cniconf

import (
	"bytes"
	"encoding/json"
)

// Encode returns the chain as a configuration list (CNI specification, section 1, "Network
// configuration format"), which Parse reads again.
func (c Chain) Encode() (json.RawMessage, error) {
	list := struct {
		CNIVersion   string            `json:"cniVersion"`
		Name         string            `json:"name"`
		DisableCheck bool              `json:"disableCheck,omitempty"`
		DisableGC    bool              `json:"disableGC,omitempty"`
		Plugins      []json.RawMessage `json:"plugins"`
	}{CNIVersion: c.CNIVersion, Name: c.Name, DisableCheck: c.DisableCheck, DisableGC: c.DisableGC}
	for _, p := range c.Plugins {
		config, err := p.Stdin(nil)
		if err != nil {
			return nil, err
		}
		list.Plugins = append(list.Plugins, config)
	}
	return encode(list)
}

// encode encodes v without the escapes for HTML: a configuration must not grow by being read and
// written.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
