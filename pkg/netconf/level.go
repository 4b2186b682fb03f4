package netconf

import (
	"encoding/json"
	"fmt"
)

// A Level says how much the log holds.
type Level int

// The levels of the log. Each includes those before it.
const (
	LevelNone Level = iota
	// LevelError logs errors and warnings. A warning is something that an operator should look at
	// though the operation succeeded.
	LevelError
	LevelInfo
	LevelDebug
)

// ParseLevel parses the number or the name of a level.
func ParseLevel(text string) (Level, error) {
	for i, name := range []string{"none", "error", "info", "debug"} {
		if text == name || text == fmt.Sprint(i) {
			return Level(i), nil
		}
	}
	return LevelNone, fmt.Errorf("%.64q must be 0 or none, 1 or error, 2 or info, 3 or debug", text)
}

// level returns nil where the key is missing or its value is invalid.
func (p *parser) level(key string) *Level {
	raw, ok := p.take(key)
	if !ok {
		return nil
	}
	var number int
	var text string
	if json.Unmarshal(raw, &number) == nil {
		text = fmt.Sprint(number)
	} else if json.Unmarshal(raw, &text) != nil {
		p.fail("%s: must be a number or a name", key)
		return nil
	}
	level, err := ParseLevel(text)
	if err != nil {
		p.fail("%s: %v", key, err)
		return nil
	}
	return &level
}
