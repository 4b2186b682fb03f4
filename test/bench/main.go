// Command bench measures what kactus costs: ADD and DEL by bin/kactus, by other meta-plugins, and
// by the same delegates run by hand, one after the other. The measurements are interleaved in one
// run, with a real kube-apiserver and real network namespaces. Start it with scripts/bench.sh.
// docs/performance.md has results and describes how each figure is measured.
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
		os.Exit(2) // the error is already printed
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if dir := os.Getenv(nodeEnv); dir != "" {
		err = measureOnNode(ctx, dir, opts)
	} else {
		err = runOnNode(ctx, opts)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measureOnNode measures everything and prints the report.
func measureOnNode(ctx context.Context, dir string, opts options) (err error) {
	if err := node.SetUp(); err != nil {
		return err
	}
	l, err := newLab(ctx, dir, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.cp.Stop()) }()
	report, err := l.measureAll(ctx)
	if err != nil {
		return err
	}
	report.print(os.Stdout)
	if opts.json == "" {
		return nil
	}
	return report.save(opts.json)
}
