package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/inventory"
)

func (c cli) printJSON(v any) error {
	enc := json.NewEncoder(c.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printTable prints a heading and n lines, whose cells are separated by tabs.
func (c cli) printTable(heading string, n int, line func(i int) string) error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	for i := range n {
		fmt.Fprintln(w, line(i))
	}
	return w.Flush()
}

// identityCells returns the cells that identify an attachment: Pod, container, network and
// interface.
func identityCells(a inventory.Attachment) string {
	const shortID = 13 // as crictl prints container IDs
	pod := "-"
	if a.Pod != "" {
		pod = a.Namespace + "/" + a.Pod
	}
	id := a.ContainerID[:min(shortID, len(a.ContainerID))]
	return strings.Join([]string{pod, id, orDash(a.Network), orDash(a.IfName)}, "\t")
}

func addresses(a inventory.Attachment) string {
	var all []string
	for _, ip := range a.IPs {
		all = append(all, ip.String())
	}
	return orDash(strings.Join(all, ","))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age returns a duration in its largest unit, as kubectl prints it.
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
