package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// options are the settings from the command line.
type options struct {
	root           string // the source tree
	rounds, warmup int
	parts          []string
	json           string
	kactus         string // a binary; empty means this tree's, which is built
	peers          []peer
	sweep          []int // values of parallelDelegates
	sizes
}

// sizes say how much is measured. They are small with --quick.
type sizes struct {
	networks      []int // numbers of networks in the main table
	growth        []int // numbers of networks in the curve
	entries       []int // numbers of Pods already in the ledger
	podKB         []int
	growthRounds  int
	storms        int
	stormPods     int
	stormInFlight int
	agentSizes
}

// agentSizes say how much is measured of kactus agent.
type agentSizes struct {
	agentPods    int // on the node, while one after the other is edited
	agentEdits   int
	burstPods    int // that are edited at once
	bursts       int
	agentRecords int // in the ledger when the agent starts
	agentStarts  int // after the first
	agentIdle    time.Duration

	simulated     []int // numbers of agents
	simulatedPods int   // of each
	simulatedTime time.Duration
	simulatedRate float64 // edits each second
}

// A peer is another meta-plugin to measure.
type peer struct {
	name, binary, netconf string
	// hook is a script. Empty means that the peer reads the same objects as kactus.
	hook string
}

// The parts of the benchmark.
const (
	partOperations = "operations"
	partStorm      = "storm"
	partGrowth     = "growth"
	partSweep      = "sweep"
	partAgent      = "agent"

	formerPartOperations = "verbs" // still accepted (prose:ignore)
)

var allParts = []string{partOperations, partStorm, partGrowth, partSweep, partAgent}

const usage = `Usage: scripts/bench.sh [options]

Measures ADD and DEL, hot ADD and hot DEL of Pods with 0 to 64 networks by bin/kactus, by the same
delegates run by hand, one after the other, and by other meta-plugins. The measurements are
interleaved in one run, with a real kube-apiserver over TLS and in separate network namespaces.
Measures kactus agent too, on one node and, by simulation, on many.
Requires root and what the tests require (see CONTRIBUTING.md). docs/performance.md describes how
each figure is measured. --svg FILE draws the curves, --side-by-side FILE what each subject takes,
and --figures FILE has the tables as a page of Markdown.

`

const (
	peerUsage = "measure another meta-plugin too: `NAME=BINARY,NETCONF`; the netconf may use ${KUBECONFIG},\n" +
		"${MASTER} (the configuration of eth0's delegate), ${IPAM} (its ipam) and ${DIR} (a directory for its state)"
	hookUsage = "`NAME=SCRIPT` configures the networks of the peer NAME (see test/bench/testdata/hook.sh);\n" +
		"without a hook, the peer reads what kactus reads"
)

func parseOptions(args []string) (options, error) {
	opts := options{}
	var quick bool
	var parts, sweep string
	hooks := map[string]string{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&opts.rounds, "rounds", 15,
		"measure everything `N` times; the curves, storms and sweeps a third as often")
	flags.IntVar(&opts.warmup, "warmup", 2, "run `N` rounds first that do not count")
	flags.BoolVar(&quick, "quick", false, "measure little, once: to test the benchmark, not kactus")
	flags.StringVar(&parts, "only", strings.Join(allParts, ","), "measure only these `PARTS`")
	flags.StringVar(&opts.root, "root", ".", "find the source tree at or above `DIR`")
	flags.StringVar(&opts.json, "json", "", "also write all figures to `FILE`")
	flags.StringVar(&opts.kactus, "kactus", "", "measure this `BINARY` of kactus instead of this tree's")
	flags.Func("peer", peerUsage, func(text string) error {
		p, err := parsePeer(text)
		opts.peers = append(opts.peers, p)
		return err
	})
	flags.Func("hook", hookUsage, func(text string) error {
		name, script, found := strings.Cut(text, "=")
		if !found {
			return errors.New("must have the form NAME=SCRIPT")
		}
		path, err := filepath.Abs(script)
		hooks[name] = path
		return err
	})
	flags.StringVar(&sweep, "sweep-parallel", "",
		"compare these values of the netconf key parallelDelegates, such as `1,2,4,8`")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	if slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) {
		flags.SetOutput(os.Stdout)
	}
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	err := opts.complete(quick, parts, sweep, hooks)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(flags.Output(), "bench:", err)
	}
	return opts, err
}

var peerName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func parsePeer(text string) (peer, error) {
	name, files, found := strings.Cut(text, "=")
	binary, netconf, both := strings.Cut(files, ",")
	if !found || !both || name == nameKactus || !peerName.MatchString(name) {
		return peer{}, errors.New("must have the form NAME=BINARY,NETCONF; " +
			"NAME: lower-case letters, digits, '-', not kactus")
	}
	binary, errBinary := filepath.Abs(binary)
	netconf, errNetconf := filepath.Abs(netconf)
	return peer{name: name, binary: binary, netconf: netconf}, errors.Join(errBinary, errNetconf)
}

func (o *options) complete(quick bool, parts, sweep string, hooks map[string]string) (err error) {
	o.sizes = sizes{
		networks: []int{0, 1, 4, 10, 32}, growth: []int{1, 2, 4, 8, 16, 32, 64},
		entries: []int{0, 500, 1000, 2000}, podKB: []int{1, 100, 250, 500},
		growthRounds: (o.rounds + 2) / 3, storms: (o.rounds + 2) / 3, stormPods: 100, stormInFlight: 16,
		agentSizes: agentSizes{
			agentPods: 50, agentEdits: 200, burstPods: 100, bursts: 5,
			agentRecords: 250, agentStarts: 5, agentIdle: time.Minute,
			simulated: []int{50, 150, 500}, simulatedPods: 10, simulatedTime: 20 * time.Second, simulatedRate: 20,
		},
	}
	if quick {
		o.rounds, o.warmup = 1, 0
		o.sizes = sizes{
			networks: []int{0, 1, 4, 10}, growth: []int{1, 6}, entries: []int{0, 50}, podKB: []int{1, 100},
			growthRounds: 1, storms: 1, stormPods: 8, stormInFlight: 4,
			agentSizes: agentSizes{
				agentPods: 2, agentEdits: 2, burstPods: 4, bursts: 1,
				agentRecords: 10, agentStarts: 1, agentIdle: time.Second,
				simulated: []int{2, 4}, simulatedPods: 2, simulatedTime: time.Second, simulatedRate: 10,
			},
		}
	}
	if o.rounds < 1 || o.warmup < 0 {
		return errors.New("--rounds must be at least 1, --warmup at least 0")
	}
	o.parts = strings.Split(parts, ",")
	for i, part := range o.parts {
		if part == formerPartOperations {
			part, o.parts[i] = partOperations, partOperations
		}
		if !slices.Contains(allParts, part) {
			return fmt.Errorf("--only: unknown part %q; the parts are %s", part, strings.Join(allParts, ", "))
		}
	}
	for i := range o.peers {
		o.peers[i].hook = hooks[o.peers[i].name]
		delete(hooks, o.peers[i].name)
	}
	for name := range hooks {
		return fmt.Errorf("--hook: unknown peer %q", name)
	}
	if o.sweep, err = parseNumbers(sweep); err != nil {
		return fmt.Errorf("--sweep-parallel: %w", err)
	}
	if o.root, err = cluster.FindRoot(o.root); err != nil {
		return err
	}
	if o.kactus != "" {
		o.kactus, err = filepath.Abs(o.kactus)
	}
	return err
}

func parseNumbers(list string) ([]int, error) {
	var numbers []int
	for word := range strings.SplitSeq(list, ",") {
		if list == "" {
			break
		}
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q: must be a positive number", word)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

func (o *options) has(part string) bool { return slices.Contains(o.parts, part) }

// progress prints what is being measured.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
