package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// ledgerFlags are the flags of a subcommand that reads the ledger.
type ledgerFlags struct {
	*flag.FlagSet
	cniDir, lockDir string
}

func newLedgerFlags(name string) *ledgerFlags {
	f := &ledgerFlags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.StringVar(&f.cniDir, "cni-dir", netconf.DefaultCNIDir, "the ledger's `directory`, the netconf's cniDir")
	f.StringVar(&f.lockDir, "lock-dir", netconf.DefaultLockDir, "the `directory` of the locks, the netconf's lockDir")
	return f
}

func (f *ledgerFlags) ledger() ledger.Ledger { return ledger.At(f.cniDir, f.lockDir) }

// parse parses the flags. If done, there is nothing else to do but to exit with code.
func (c cli) parse(f *ledgerFlags, args []string) (code int, done bool) {
	err := c.parseOptions(f.FlagSet, fmt.Sprintf("Usage: kactus %s [OPTION...]\n\n", f.Name()), args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0, true
	case err != nil:
		return c.usageError("%s: %v", f.Name(), err), true
	}
	return 0, false
}

// parseOptions parses args, which must be options alone. After it has printed the help, the error
// is flag.ErrHelp.
func (c cli) parseOptions(set *flag.FlagSet, usage string, args []string) error {
	err := c.parseArgs(set, usage, args)
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	return err
}

// parseArgs parses options, which other arguments may follow, as parseOptions does.
func (c cli) parseArgs(set *flag.FlagSet, usage string, args []string) error {
	set.SetOutput(io.Discard)
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(c.stdout, usage)
		set.SetOutput(c.stdout)
		set.PrintDefaults()
	}
	return err
}

// format is the format of a table: for people, or JSON.
type format string

// String implements flag.Value.
func (f *format) String() string { return string(*f) }

// Set implements flag.Value.
func (f *format) Set(s string) error {
	if s != "table" && s != "json" {
		return errors.New("neither table nor json")
	}
	*f = format(s)
	return nil
}
