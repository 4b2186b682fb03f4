package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/kactustest"
)

// randomNetworks are the networks of the random sequences, as cut reads them, each on an interface
// of its own. The first is the default network.
var randomNetworks = [...]string{kactustest.DefaultNetwork + "@eth0", "green", "blue", "data", "lan@net1", "lan@lan0"}

// randomPods are the Pods of the random sequences.
var randomPods = []struct {
	annotations map[string]string
	networks    []int // indices of randomNetworks
}{
	{map[string]string{}, nil},
	{map[string]string{"networks": `[{"name":"green"},{"name":"blue"}]`}, []int{1, 2}},
	{map[string]string{kactustest.NPWGAnnotation: "lan,lan@lan0"}, []int{4, 5}},
}

// A step is what happens next on the node.
type step struct {
	operation string // a CNI operation, "hot ADD", "hot DEL", or "lose" for the network namespace
	pod       int    // index of randomPods
	// network is the index in randomNetworks of a hot operation's network.
	network int
	fault   trouble
	// culprit is the network whose delegate fails.
	culprit int
	// kill is when the operation is killed, as a share of its usual time; zero for never.
	kill float64
	// keep selects which Pods a GC keeps, if they have a default network.
	keep [3]bool
}

// A trouble is what goes wrong in a step.
type trouble string

const (
	noTrouble   trouble = ""
	failsAdd    trouble = "fails ADD at once"
	failsLate   trouble = "fails ADD when the interface is made"
	failsDel    trouble = "fails DEL at once"
	failsDelEnd trouble = "fails DEL when everything is torn down"
	failsAlways trouble = "fails ADD and DEL"
	apiRefuses  trouble = "is refused by the apiserver"
	apiDown     trouble = "does not reach the apiserver"
)

// failures lists when a delegate fails in which operation: at once ("early") or when its work is
// done ("late").
var failures = map[trouble]map[string]string{
	failsAdd:    {"ADD": "early"},
	failsLate:   {"ADD": "late"},
	failsDel:    {"DEL": "early"},
	failsDelEnd: {"DEL": "late"},
	failsAlways: {"ADD": "early", "DEL": "early"},
}

func (f trouble) inADD() bool { return failures[f]["ADD"] != "" }
func (f trouble) inDEL() bool { return failures[f]["DEL"] != "" }

// api returns the error code of an operation that asks the apiserver; zero if that works.
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

// randomSteps returns the sequence of that seed.
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
	operations := []string{"ADD", "ADD", "ADD", "ADD", "DEL", "DEL", "DEL", "hot ADD", "hot ADD", "hot ADD", "hot DEL",
		"hot DEL", "CHECK", "CHECK", "GC", "lose"}
	s := step{
		operation: operations[r.IntN(len(operations))],
		pod:       r.IntN(len(randomPods)),
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

// String returns a sentence.
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
