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

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/cluster"
)

// options are what the command line says.
type options struct {
	root           string // of the source tree
	rounds, warmup int
	parts          []string
	json           string
	kactus         string // a binary; empty means to build this tree's
	peers          []peer
	sweep          []int // values of parallelDelegates
	sizes
}

// sizes are how much is measured; --quick makes them small.
type sizes struct {
	networks      []int // of the Pods whose ADD and DEL the main table is about
	growth        []int // the same, of the curve
	entries       []int // the Pods that the ledger holds already
	podKB         []int
	growthRounds  int
	storms        int
	stormPods     int
	stormInFlight int
}

// A peer is another meta-plugin to measure.
type peer struct {
	name, binary, netconf string
	hook                  string // empty: it reads the annotation and the Networks that kactus reads
}

// The parts of the benchmark.
const (
	partVerbs  = "verbs"
	partStorm  = "storm"
	partGrowth = "growth"
	partSweep  = "sweep"
)

const usage = `Usage: scripts/bench.sh [options]

Measures ADD and DEL, hot ADD and hot DEL, of Pods with 0 to 64 networks by bin/kactus, by the same delegates run by hand, one after the other, and by other
meta-plugins, interleaved in one run, on a real kube-apiserver over TLS and in network namespaces of its own. It needs root and what the tests need (see README.md).
docs/performance.md says how each figure is measured. --svg FILE draws the curves.

`

func parseOptions(args []string) (options, error) {
	opts := options{}
	var quick bool
	var parts, sweep string
	hooks := map[string]string{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&opts.rounds, "rounds", 15, "measure everything `N` times; the curves, storms and sweeps a third of that")
	flags.IntVar(&opts.warmup, "warmup", 2, "go `N` rounds before that, which do not count")
	flags.BoolVar(&quick, "quick", false, "measure little, once: to see that it works, not how fast kactus is")
	flags.StringVar(&parts, "only", strings.Join([]string{partVerbs, partStorm, partGrowth, partSweep}, ","), "measure these `PARTS` alone")
	flags.StringVar(&opts.root, "root", ".", "the source tree is at or above `FOLDER`")
	flags.StringVar(&opts.json, "json", "", "write all figures to `FILE` too")
	flags.StringVar(&opts.kactus, "kactus", "", "measure this `BINARY` of kactus, not this tree's")
	flags.Func("peer", "measure another meta-plugin too: `NAME=BINARY,NETCONF`; the netconf may use ${KUBECONFIG}, ${MASTER} (the configuration of eth0's delegate)\nand ${DIR} (a folder for its state)", func(text string) error {
		p, err := parsePeer(text)
		opts.peers = append(opts.peers, p)
		return err
	})
	flags.Func("hook", "`NAME=SCRIPT` tells the peer NAME of its networks (see test/bench/testdata/hook.sh); without it, the peer reads what kactus reads", func(text string) error {
		name, script, found := strings.Cut(text, "=")
		if !found {
			return errors.New("not NAME=SCRIPT")
		}
		path, err := filepath.Abs(script)
		hooks[name] = path
		return err
	})
	flags.StringVar(&sweep, "sweep-parallel", "", "compare these values of the netconf's parallelDelegates, such as `1,2,4,8`")
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
		err = fmt.Errorf("%q is not an option", flags.Arg(0))
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
		return peer{}, errors.New("not NAME=BINARY,NETCONF with a name of its own, of lower-case letters, digits and '-'")
	}
	binary, errBinary := filepath.Abs(binary)
	netconf, errNetconf := filepath.Abs(netconf)
	return peer{name: name, binary: binary, netconf: netconf}, errors.Join(errBinary, errNetconf)
}

func (o *options) complete(quick bool, parts, sweep string, hooks map[string]string) (err error) {
	o.sizes = sizes{
		networks: []int{0, 1, 4, 10, 32}, growth: []int{1, 2, 4, 8, 16, 32, 64}, entries: []int{0, 500, 1000, 2000}, podKB: []int{1, 100, 250, 500},
		growthRounds: (o.rounds + 2) / 3, storms: (o.rounds + 2) / 3, stormPods: 100, stormInFlight: 16,
	}
	if quick {
		o.rounds, o.warmup = 1, 0
		o.sizes = sizes{
			networks: []int{0, 1, 4, 10}, growth: []int{1, 6}, entries: []int{0, 50}, podKB: []int{1, 100},
			growthRounds: 1, storms: 1, stormPods: 8, stormInFlight: 4,
		}
	}
	if o.rounds < 1 || o.warmup < 0 {
		return errors.New("one round at least, and no fewer than no warm-up")
	}
	o.parts = strings.Split(parts, ",")
	for _, part := range o.parts {
		if !slices.Contains([]string{partVerbs, partStorm, partGrowth, partSweep}, part) {
			return fmt.Errorf("%q is not a part: %s, %s, %s and %s are", part, partVerbs, partStorm, partGrowth, partSweep)
		}
	}
	for i := range o.peers {
		o.peers[i].hook = hooks[o.peers[i].name]
		delete(hooks, o.peers[i].name)
	}
	for name := range hooks {
		return fmt.Errorf("a hook for %s, which is no peer", name)
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
			return nil, fmt.Errorf("%q is not a number above zero", word)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

func (o *options) has(part string) bool { return slices.Contains(o.parts, part) }

// progress tells what is being measured.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
