package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// The networks of the random sequences. The first is the default one.
var randomNetworks = []string{kactustest.DefaultNetwork, "green", "blue", "data"}

// The devices of randomNetworks.
var randomIfNames = []string{"eth0", kactustest.GreenIfName, kactustest.BlueIfName, kactustest.DataIfName}

// randomAnnotations are the Pods' networks, as indices into randomNetworks.
var randomAnnotations = [][]int{{}, {1}, {1, 2}}

// step is what happens next on the node.
type step struct {
	operation string // one of CNI's, or "hot ADD", "hot DEL", or "lose", the Pod's network namespace
	pod       int    // index into randomAnnotations
	// network is an index into randomNetworks: that of a hot verb.
	network int
	fault   trouble
	// culprit is the network whose delegate has the trouble.
	culprit int
	// kill is when the verb is killed, as a share of the time that it takes otherwise; zero: never.
	kill float64
	// keep says of which Pods a GC lists what they have, if they have a default network.
	keep [3]bool
}

// trouble is what a step has to do with.
type trouble string

const (
	noTrouble   trouble = ""
	failsAdd    trouble = "fails ADD at once"
	failsLate   trouble = "fails ADD when it has made its device"
	failsDel    trouble = "fails DEL at once"
	failsDelEnd trouble = "fails DEL when it has undone all"
	failsAlways trouble = "fails ADD and DEL"
	apiRefuses  trouble = "is not let in by the apiserver"
	apiDown     trouble = "does not reach the apiserver"
)

// moods are what a delegate does at its verbs in the trouble: "early" and "late" are when it fails.
var failures = map[trouble]map[string]string{
	failsAdd:    {"ADD": "early"},
	failsLate:   {"ADD": "late"},
	failsDel:    {"DEL": "early"},
	failsDelEnd: {"DEL": "late"},
	failsAlways: {"ADD": "early", "DEL": "early"},
}

func (f trouble) inADD() bool { return failures[f]["ADD"] != "" }
func (f trouble) inDEL() bool { return failures[f]["DEL"] != "" }

// api is the code of the error in which a question to the apiserver ends; zero where it is answered.
func (f trouble) api() uint {
	switch f {
	case apiRefuses:
		return 100
	case apiDown:
		return 11
	default:
		return 0
	}
}

// randomSteps is the sequence of that seed.
func randomSteps(seed uint64) []step {
	const length = 30
	r := rand.New(rand.NewPCG(seed, 0))
	steps := make([]step, length)
	for i := range steps {
		steps[i] = randomStep(r)
	}
	return steps
}

func randomStep(r *rand.Rand) step {
	operations := []string{"ADD", "ADD", "ADD", "ADD", "DEL", "DEL", "DEL", "hot ADD", "hot ADD", "hot ADD", "hot DEL", "hot DEL", "CHECK", "CHECK", "GC", "lose"}
	s := step{
		operation: operations[r.IntN(len(operations))],
		pod:       r.IntN(len(randomAnnotations)),
		network:   1 + r.IntN(len(randomNetworks)-1),
		culprit:   r.IntN(len(randomNetworks)),
		keep:      [3]bool{r.IntN(3) > 0, r.IntN(3) > 0, r.IntN(3) > 0},
	}
	if s.operation == "lose" {
		return s
	}
	troubles := []trouble{failsAdd, failsLate, failsDel, failsDelEnd, failsAlways, apiRefuses, apiDown}
	if r.IntN(3) == 0 {
		s.fault = troubles[r.IntN(len(troubles))]
	}
	if r.IntN(4) == 0 {
		s.kill = 0.01 + 1.1*r.Float64()
	}
	return s
}

func (s step) hot() bool { return strings.HasPrefix(s.operation, "hot ") }

func (s step) kind() int {
	switch {
	case s.kill > 0:
		return killedStep
	case s.fault != noTrouble || s.operation == "lose":
		return faultyStep
	default:
		return plainStep
	}
}

// String is a sentence.
func (s step) String() string {
	words := fmt.Sprintf("%s of Pod %d", s.operation, s.pod)
	switch {
	case s.operation == "lose":
		words = fmt.Sprintf("Pod %d loses its network namespace", s.pod)
	case s.operation == "GC":
		words = fmt.Sprintf("GC that may keep the Pods %v", s.keep)
	case s.hot():
		words = fmt.Sprintf("%s of %s for Pod %d", s.operation, randomNetworks[s.network], s.pod)
	}
	if s.fault.api() != 0 {
		words += ", which " + string(s.fault)
	} else if s.fault != noTrouble {
		words += fmt.Sprintf(", where the delegate of %s %s", randomNetworks[s.culprit], s.fault)
	}
	if s.kill > 0 {
		words += fmt.Sprintf(", killed after %.0f %% of its time", 100*s.kill)
	}
	return words
}
