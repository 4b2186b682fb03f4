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
	f.SetOutput(io.Discard)
	f.StringVar(&f.cniDir, "cni-dir", netconf.DefaultCNIDir, "the ledger's `directory`, the netconf's cniDir")
	f.StringVar(&f.lockDir, "lock-dir", netconf.DefaultLockDir, "the `directory` of the locks, the netconf's lockDir")
	return f
}

func (f *ledgerFlags) ledger() ledger.Ledger { return ledger.At(f.cniDir, f.lockDir) }

// parse parses the flags. If done, there is nothing else to do but to exit with code.
func (c cli) parse(f *ledgerFlags, args []string) (code int, done bool) {
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(c.stdout, "Usage: kactus %s [OPTION...]\n\n", f.Name())
		f.SetOutput(c.stdout)
		f.PrintDefaults()
		return 0, true
	case err != nil:
		return c.usageError("%s: %v", f.Name(), err), true
	case f.NArg() > 0:
		return c.usageError("%s takes options only, not %q", f.Name(), f.Arg(0)), true
	}
	return 0, false
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
