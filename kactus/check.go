package main

import (
	"context"
	"slices"
	"strings"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/inventory"
)

// check prints how the ledger's attachments compare with the kernel. It exits with 1 if one
// differs.
func (c cli) check(_ context.Context, args []string) int {
	f, as := newLedgerFlags("check"), format("table")
	f.Var(&as, "o", "the output's `format`, table or json")
	if code, done := c.parse(f, args); done {
		return code
	}
	all, err := inventory.Compare(f.ledger())
	if err == nil && as == "json" {
		err = c.printJSON(all)
	} else if err == nil {
		err = c.printTable("POD\tCONTAINER\tNETWORK\tINTERFACE\tSTATUS", len(all), func(i int) string {
			return identityCells(all[i].Attachment) + "\t" + status(all[i])
		})
	}
	if err != nil {
		return c.failed("check", err)
	}
	if slices.ContainsFunc(all, inventory.Finding.HasProblem) {
		return 1
	}
	return 0
}

func status(f inventory.Finding) string {
	switch {
	case f.Busy:
		return "busy"
	case f.HasProblem():
		return strings.ReplaceAll(f.Problem, "\n", "; ")
	}
	return "ok"
}
