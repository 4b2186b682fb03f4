// Command bench measures what kactus costs: ADD and DEL by bin/kactus, by other meta-plugins, and by the same delegates run by hand, one after the
// other, interleaved in one run on a real kube-apiserver and in real network namespaces. scripts/bench.sh starts it; docs/performance.md has
// its results, and says how each figure is measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/test/node"
)

func main() {
	opts, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2) // the flag package has said why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if dir := os.Getenv(nodeEnv); dir != "" {
		err = onNode(ctx, dir, opts)
	} else {
		err = apart(ctx, opts)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// onNode measures, and prints what it measured.
func onNode(ctx context.Context, dir string, opts options) (err error) {
	if err := node.SetUp(); err != nil {
		return err
	}
	b, err := newBed(ctx, dir, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cp.Stop()) }()
	report, err := b.measureAll(ctx)
	if err != nil {
		return err
	}
	report.print(os.Stdout)
	if opts.json == "" {
		return nil
	}
	return report.save(opts.json)
}
