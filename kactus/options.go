package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// options are those of a subcommand that looks at the ledger.
type options struct {
	*flag.FlagSet
	cniDir string
}

func newOptions(name string) *options {
	o := &options{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	o.SetOutput(io.Discard)
	o.StringVar(&o.cniDir, "cni-dir", netconf.DefaultCNIDir, "the ledger's `folder`, the netconf's cniDir")
	return o
}

// parse says whether there is nothing more to do, and then the exit code.
func (p program) parse(o *options, args []string) (code int, done bool) {
	err := o.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(p.stdout, "Usage: kactus %s [OPTION...]\n\n", o.Name())
		o.SetOutput(p.stdout)
		o.PrintDefaults()
		return 0, true
	case err != nil:
		return p.usage("%s: %v", o.Name(), err), true
	case o.NArg() > 0:
		return p.usage("%s takes options only, not %q", o.Name(), o.Arg(0)), true
	}
	return 0, false
}

// format is how a table is printed: for people, or as JSON.
type format string

// String implements flag.Value.
func (f *format) String() string { return string(*f) }

// Set implements flag.Value.
func (f *format) Set(s string) error {
	if s != "table" && s != "json" {
		return errors.New("it is neither table nor json")
	}
	*f = format(s)
	return nil
}
