package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/inventory"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// list prints the ledger's attachments. It exits with 1 if a record is corrupt.
func (c cli) list(_ context.Context, args []string) int {
	f, as, orphans := newLedgerFlags("list"), format("table"), false
	f.Var(&as, "o", "the output's `format`, table or json")
	f.BoolVar(&orphans, "orphans", false, "list the orphans: attachments that a DEL gave up")
	if code, done := c.parse(f, args); done {
		return code
	}
	var failed error
	var corrupt []ledger.CorruptRecord
	all := func(yield func(inventory.Attachment) bool) {
		for a, err := range inventory.List(f.ledger()) {
			var c ledger.CorruptRecord
			switch {
			case errors.As(err, &c):
				corrupt = append(corrupt, c)
			case err != nil:
				failed = err
			case orphans == (a.State == inventory.Orphan) && !yield(a):
				return
			}
		}
	}
	if err := errors.Join(c.printAttachments(as, all), failed); err != nil {
		return c.failed("list", err)
	}
	for _, problem := range corrupt {
		fmt.Fprintf(c.stderr, "kactus: list: %s\n", problem)
	}
	return min(len(corrupt), 1)
}

func (c cli) printAttachments(as format, all iter.Seq[inventory.Attachment]) error {
	if as == "json" {
		return printJSON(c.stdout, all)
	}
	const heading = "POD\tCONTAINER\tNETWORK\tINTERFACE\tMAC\tIPS\tSTATE\tAGE"
	return printTable(c.stdout, heading, mapped(all, func(a inventory.Attachment) string {
		cells := []string{identityCells(a), orDash(a.MAC), addresses(a), a.State, age(time.Since(a.Created))}
		return strings.Join(cells, "\t")
	}))
}
