package netconf

import "fmt"

// Level is how much the log holds.
type Level int

// The levels, each with what the ones before it hold.
const (
	LevelNone Level = iota
	// LevelError is errors, and warnings: what an operator should look at, though the verb succeeded.
	LevelError
	LevelInfo
	LevelDebug
)

// ParseLevel reads a level's number or its name.
func ParseLevel(text string) (Level, error) {
	for i, name := range []string{"none", "error", "info", "debug"} {
		if text == name || text == fmt.Sprint(i) {
			return Level(i), nil
		}
	}
	return LevelNone, fmt.Errorf("%.64q is not one of 0 or none, 1 or error, 2 or info, 3 or debug", text)
}
