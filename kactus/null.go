package main

import (
	"context"
	"fmt"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/metaplugin"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/nullipam"
)

// runNull runs the IPAM plugin null, as which main plugins execute kactus by a link, and returns
// the exit code.
func (c cli) runNull(ctx context.Context) int {
	operation := c.getenv("CNI_COMMAND")
	switch operation {
	case "":
		fmt.Fprintf(c.stdout, "%s is an IPAM plugin for CNI that assigns no address; it is a part of kactus %s.\n",
			nullipam.Name, version)
		return 0
	case "VERSION":
		return c.print(versionInfo(), 0)
	}
	stdin, err := c.readStdin(ctx)
	if err != nil && operation != "DEL" {
		return c.print(encodeError(metaplugin.StdinError(err)), 1)
	}
	result, err := nullipam.Run(operation, c.getenv, stdin)
	if err != nil {
		return c.print(encodeError(err), 1)
	}
	return c.print(result, 0)
}
