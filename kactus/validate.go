package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/netconf"
)

// validate prints all problems of a netconf, or of a configuration list with kactus in it. It exits
// with 1 if there are any.
func (c cli) validate(_ context.Context, args []string) int {
	if len(args) > 1 {
		return c.usageError("validate takes one file")
	}
	in, name := c.stdin, "stdin"
	if len(args) == 1 {
		file, err := os.Open(args[0])
		if err != nil {
			return c.failed("validate", err)
		}
		defer file.Close()
		in, name = file, args[0]
	}
	data, err := io.ReadAll(io.LimitReader(in, netconf.MaxSize+1))
	if err != nil {
		return c.failed("validate", fmt.Errorf("read %s: %w", name, err))
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
