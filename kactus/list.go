package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/inventory"
	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/ledger"
)

// list prints the ledger's attachments. It exits with 1 where a record cannot be read.
func (p program) list(_ context.Context, args []string) int {
	o, as, orphans := newOptions("list"), format("table"), false
	o.Var(&as, "o", "the output's `format`, table or json")
	o.BoolVar(&orphans, "orphans", false, "list the orphans: attachments that a DEL gave up")
	if code, done := p.parse(o, args); done {
		return code
	}
	snapshot, err := ledger.Read(o.cniDir)
	if err != nil {
		return p.failed("list", err)
	}
	all := slices.DeleteFunc(inventory.Of(snapshot), func(a inventory.Attachment) bool { return orphans != (a.State == inventory.Orphan) })
	if as == "json" {
		err = p.printJSON(all)
	} else {
		err = p.printTable("POD\tCONTAINER\tNETWORK\tDEVICE\tMAC\tIPS\tSTATE\tAGE", len(all), func(i int) string {
			a := all[i]
			return strings.Join([]string{whose(a), dash(a.MAC), addresses(a), a.State, age(time.Since(a.Created))}, "\t")
		})
	}
	if err != nil {
		return p.failed("list", err)
	}
	for _, u := range snapshot.Unread {
		fmt.Fprintf(p.stderr, "kactus: list: %s\n", u)
	}
	return min(len(snapshot.Unread), 1)
}

// check prints how the ledger's attachments compare with the kernel. It exits with 1 where one does not.
func (p program) check(_ context.Context, args []string) int {
	o, as := newOptions("check"), format("table")
	o.Var(&as, "o", "the output's `format`, table or json")
	if code, done := p.parse(o, args); done {
		return code
	}
	all, err := inventory.Compare(o.cniDir)
	if err == nil && as == "json" {
		err = p.printJSON(all)
	} else if err == nil {
		err = p.printTable("POD\tCONTAINER\tNETWORK\tDEVICE\tSTATUS", len(all), func(i int) string {
			return whose(all[i].Attachment) + "\t" + status(all[i])
		})
	}
	if err != nil {
		return p.failed("check", err)
	}
	if slices.ContainsFunc(all, inventory.Finding.Off) {
		return 1
	}
	return 0
}

func status(f inventory.Finding) string {
	switch {
	case f.Busy:
		return "busy"
	case f.Off():
		return strings.ReplaceAll(f.Problem, "\n", "; ")
	}
	return "ok"
}

// failed says why a subcommand did not do what it should.
func (p program) failed(name string, err error) int {
	fmt.Fprintf(p.stderr, "kactus: %s: %v\n", name, err)
	return 1
}

func (p program) printJSON(v any) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printTable prints lines whose cells are separated by tabs.
func (p program) printTable(head string, n int, line func(i int) string) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for i := range n {
		fmt.Fprintln(w, line(i))
	}
	return w.Flush()
}

// whose are the cells that say which attachment it is.
func whose(a inventory.Attachment) string {
	const shortID = 13 // as crictl prints container IDs
	pod := "-"
	if a.Pod != "" {
		pod = a.Namespace + "/" + a.Pod
	}
	return strings.Join([]string{pod, a.ContainerID[:min(shortID, len(a.ContainerID))], dash(a.Network), dash(a.Device)}, "\t")
}

func addresses(a inventory.Attachment) string {
	var all []string
	for _, ip := range a.IPs {
		all = append(all, ip.String())
	}
	return dash(strings.Join(all, ","))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age is a duration in its largest unit, as kubectl prints it.
func age(d time.Duration) string {
	for _, u := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= u.length {
			return fmt.Sprintf("%d%s", d/u.length, u.name)
		}
	}
	return fmt.Sprintf("%ds", max(d, 0)/time.Second)
}
