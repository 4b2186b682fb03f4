package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kaloom/kubernetes-kactus-cni-plugin/pkg/inventory"
)

// printJSON prints an array, one element after the other: the elements of a whole node can be too
// many to be held in memory at once.
func printJSON[T any](to io.Writer, all iter.Seq[T]) error {
	w := bufio.NewWriter(to)
	const indent = "  "
	open := "[\n" + indent
	for element := range all {
		data, err := json.MarshalIndent(element, indent, indent)
		if err != nil {
			return err
		}
		_, _ = w.WriteString(open) // Flush returns the first error
		_, _ = w.Write(data)
		open = ",\n" + indent
	}
	end := "\n]\n"
	if strings.HasPrefix(open, "[") {
		end = "[]\n"
	}
	_, _ = w.WriteString(end)
	return w.Flush()
}

// printTable prints a heading and lines, whose cells are separated by tabs.
func printTable(to io.Writer, heading string, lines iter.Seq[string]) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	for line := range lines {
		fmt.Fprintln(w, line)
	}
	return w.Flush()
}

// mapped returns what to makes of each element.
func mapped[T, U any](all iter.Seq[T], to func(T) U) iter.Seq[U] {
	return func(yield func(U) bool) {
		for element := range all {
			if !yield(to(element)) {
				return
			}
		}
	}
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
