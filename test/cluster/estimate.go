package cluster

import (
	"fmt"
	"runtime"
	"time"
)

// Processor time of an average package, and of linking a program, on a server of 2023 that has
// nothing else to do.
const (
	timePerPackage = 300 * time.Millisecond
	timePerProgram = 3 * time.Second
)

// estimate returns about how long compiling takes, in words.
func estimate(packages, programs int) string {
	d := time.Duration(packages)*timePerPackage + time.Duration(programs)*timePerProgram
	return inWords(d / time.Duration(runtime.GOMAXPROCS(0)))
}

func inWords(d time.Duration) string {
	switch minutes := int(d.Round(time.Minute).Minutes()); {
	case d < 45*time.Second:
		return "less than a minute"
	case minutes == 1:
		return "about a minute"
	default:
		return fmt.Sprintf("about %d minutes", minutes)
	}
}

func processors() string {
	if n := runtime.GOMAXPROCS(0); n > 1 {
		return fmt.Sprintf("%d processors", n)
	}
	return "processor"
}
