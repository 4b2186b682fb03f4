package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// validate prints all problems of a netconf, or of a configuration list with kactus in it. It exits
// with 1 if there are any. With -from-multus, it converts a configuration of Multus instead.
func (c cli) validate(_ context.Context, args []string) int {
	set := flag.NewFlagSet("validate", flag.ContinueOnError)
	fromMultus := set.String("from-multus", "", "convert the configuration of Multus in `FILE`, or on stdin for -, "+
		"to kactus's\nnetconf on stdout; say on stderr what became of each key")
	confDir := set.String("conf-dir", "", "the `directory` of the configurations that Multus's names, instead of "+
		"where Multus's\nconfiguration says that they are (with -from-multus)")
	err := c.parseArgs(set, validateUsage, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return c.usageError("validate: %v", err)
	case *fromMultus != "" && set.NArg() > 0:
		return c.usageError("validate: unexpected argument %q", set.Arg(0))
	case *fromMultus != "":
		return c.convertMultus(*fromMultus, *confDir)
	case *confDir != "":
		return c.usageError("validate: -conf-dir is for -from-multus")
	case set.NArg() > 1:
		return c.usageError("validate takes one file")
	case set.NArg() == 1:
		return c.validateFile(set.Arg(0))
	}
	return c.validateFile("-")
}

const validateUsage = `Usage: kactus validate [FILE]
       kactus validate -from-multus FILE [-conf-dir DIRECTORY]

Exit codes: 0 if the netconf is valid, or was converted whole; 1 if it is not valid, or FILE is not
one of Multus; 2 for a wrong command line; 3 if something of Multus's configuration is to be decided
by a person.

`

// readNetconf reads a file, or stdin for -, and returns the name by which the output calls it.
func (c cli) readNetconf(path string) (name string, data []byte, err error) {
	in, name := c.stdin, "stdin"
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", nil, err
		}
		defer file.Close()
		in, name = file, path
	}
	data, err = io.ReadAll(io.LimitReader(in, netconf.MaxSize+1))
	if err != nil {
		return "", nil, fmt.Errorf("read %s: %w", name, err)
	}
	return name, data, nil
}

func (c cli) validateFile(path string) int {
	name, data, err := c.readNetconf(path)
	if err != nil {
		return c.failed("validate", err)
	}
	if _, err = netconf.ParseFile(data); err == nil {
		err = netconf.CheckName(name, data)
	}
	if err == nil {
		fmt.Fprintf(c.stdout, "%s: valid\n", name)
		return 0
	}
	problems := []string{err.Error()}
	var invalid *netconf.Error
	if errors.As(err, &invalid) {
		problems = invalid.Problems
	}
	for _, problem := range problems {
		fmt.Fprintf(c.stdout, "%s: %s\n", name, problem)
	}
	return 1
}
