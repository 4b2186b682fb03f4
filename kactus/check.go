package main

import (
	"context"
	"errors"
	"iter"
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
	var failed error
	code := 0
	all := func(yield func(inventory.Finding) bool) {
		for found, err := range inventory.Compare(f.ledger()) {
			if found.HasProblem() {
				code = 1
			}
			if failed = err; err != nil || !yield(found) {
				return
			}
		}
	}
	if err := errors.Join(c.printFindings(as, all), failed); err != nil {
		return c.failed("check", err)
	}
	return code
}

func (c cli) printFindings(as format, all iter.Seq[inventory.Finding]) error {
	if as == "json" {
		return printJSON(c.stdout, all)
	}
	const heading = "POD\tCONTAINER\tNETWORK\tINTERFACE\tSTATUS"
	return printTable(c.stdout, heading, mapped(all, func(f inventory.Finding) string {
		return identityCells(f.Attachment) + "\t" + status(f)
	}))
}

func status(f inventory.Finding) string {
	switch {
	case f.Busy:
		return "busy"
	case f.Unknown:
		return "unknown"
	case f.HasProblem():
		const maxLength = 512 // a table holds all its lines; JSON has the whole text
		problem := strings.ReplaceAll(f.Problem, "\n", "; ")
		return strings.ToValidUTF8(problem[:min(len(problem), maxLength)], "")
	}
	return "ok"
}
