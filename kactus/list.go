package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/inventory"
)

// list prints the ledger's attachments. It exits with 1 if a record is corrupt.
func (c cli) list(_ context.Context, args []string) int {
	f, as, orphans := newLedgerFlags("list"), format("table"), false
	f.Var(&as, "o", "the output's `format`, table or json")
	f.BoolVar(&orphans, "orphans", false, "list the orphans: attachments that a DEL gave up")
	if code, done := c.parse(f, args); done {
		return code
	}
	snapshot, err := f.ledger().Read()
	if err != nil {
		return c.failed("list", err)
	}
	all := slices.DeleteFunc(inventory.List(snapshot), func(a inventory.Attachment) bool {
		return orphans != (a.State == inventory.Orphan)
	})
	if as == "json" {
		err = c.printJSON(all)
	} else {
		err = c.printTable("POD\tCONTAINER\tNETWORK\tINTERFACE\tMAC\tIPS\tSTATE\tAGE", len(all), func(i int) string {
			a := all[i]
			cells := []string{identityCells(a), orDash(a.MAC), addresses(a), a.State, age(time.Since(a.Created))}
			return strings.Join(cells, "\t")
		})
	}
	if err != nil {
		return c.failed("list", err)
	}
	for _, corrupt := range snapshot.Corrupt {
		fmt.Fprintf(c.stderr, "kactus: list: %s\n", corrupt)
	}
	return min(len(snapshot.Corrupt), 1)
}
