package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// A group is a part of the tree that printStats reports about.
type group struct {
	name  string
	files []*file
}

// groups tells the product (kactus and pkg), the tests (files named *_test.go), the test tools
// (other Go files below test), the documents, and scripts and YAML files apart.
func groups(files []*file) []group {
	all := []group{
		{name: "product"}, {name: "tests"}, {name: "test tools"}, {name: "documents"}, {name: "scripts, YAML"},
	}
	for _, f := range files {
		i := 0
		switch {
		case f.kind == markdown:
			i = 3
		case f.kind != goSource:
			i = 4
		case f.isTest():
			i = 1
		case slices.Contains(strings.Split(filepath.ToSlash(f.name), "/"), "test"):
			i = 2
		}
		all[i].files = append(all[i].files, f)
	}
	return append(all, group{"all", files})
}

// A figure is one line of the table that printStats prints.
type figure struct {
	name  string
	value func([]*file) string
}

var figures = []figure{
	{"files", func(fs []*file) string { return fmt.Sprint(len(fs)) }},
	{"lines", func(fs []*file) string { return fmt.Sprint(countLines(fs)) }},
	{"comment or text lines over 100 columns", countWide},
	{"function comments \"X is\"", countIsComments},
	{"the words verb and folder", countWords}, // prose:ignore
	{"error strings with a clause \"it\"", countIt},
	{"test names over 60 characters", countLongNames},
	{"functions", func(fs []*file) string { return fmt.Sprint(len(lengths(fs))) }},
	{"function length p50, p90, longest", summarizeLengths},
}

// printStats prints a table of figures, one column a group, and the longest functions.
func printStats(out io.Writer, files []*file) {
	all := groups(files)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, g := range all {
		fmt.Fprintf(table, "\t%s", g.name)
	}
	fmt.Fprintln(table)
	for _, figure := range figures {
		fmt.Fprint(table, figure.name)
		for _, g := range all {
			fmt.Fprintf(table, "\t%s", figure.value(g.files))
		}
		fmt.Fprintln(table)
	}
	table.Flush()
	for _, g := range all[:3] {
		printLongest(out, g)
	}
}

func printLongest(out io.Writer, g group) {
	sizes := lengths(g.files)
	if len(sizes) == 0 {
		return
	}
	fmt.Fprintf(out, "\nlongest functions, %s:\n", g.name)
	for _, s := range slices.Backward(sizes[max(0, len(sizes)-5):]) {
		fmt.Fprintf(out, "%5d  %s\n", s.lines, s.where)
	}
}

func share(part, total int) string {
	if total == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %% (%d of %d)", 100*float64(part)/float64(total), part, total)
}

func countLines(files []*file) (n int) {
	for _, f := range files {
		n += len(f.lines)
	}
	return n
}

func countWide(files []*file) string {
	wide, total := 0, 0
	for _, f := range files {
		total += len(f.prose)
		for _, p := range f.prose {
			if p.wide() {
				wide++
			}
		}
	}
	return share(wide, total)
}

func countIsComments(files []*file) string {
	found, total := isComments(files)
	return share(len(found), total)
}

func countWords(files []*file) string {
	n := 0
	for _, f := range files {
		for _, words := range f.words() {
			n += len(words)
		}
	}
	return fmt.Sprint(n)
}

func countIt(files []*file) string {
	it, total := 0, 0
	for _, f := range files {
		total += len(f.errs)
		for _, e := range f.errs {
			if startsWithIt.MatchString(e.text) {
				it++
			}
		}
	}
	return share(it, total)
}

func countLongNames(files []*file) string {
	long, total := 0, 0
	for _, f := range files {
		for _, fn := range f.functions() {
			if !f.isTest() || !isTestName.MatchString(fn.Name.Name) {
				continue
			}
			total++
			if len(fn.Name.Name) > maxTestName {
				long++
			}
		}
	}
	return share(long, total)
}

// A size is the length of a function, from its first line to its last.
type size struct {
	lines int
	where string
}

// lengths returns the lengths of all functions, the shortest first.
func lengths(files []*file) []size {
	var all []size
	for _, f := range files {
		for _, fn := range f.functions() {
			from, to := f.fset.Position(fn.Pos()), f.fset.Position(fn.End())
			all = append(all, size{to.Line - from.Line + 1, fmt.Sprintf("%s:%d %s", f.name, from.Line, fn.Name.Name)})
		}
	}
	slices.SortFunc(all, func(a, b size) int {
		return cmp.Or(cmp.Compare(a.lines, b.lines), cmp.Compare(a.where, b.where))
	})
	return all
}

func summarizeLengths(files []*file) string {
	sizes := lengths(files)
	if len(sizes) == 0 {
		return "-"
	}
	return fmt.Sprintf("%d, %d, %d", percentile(sizes, 50), percentile(sizes, 90), sizes[len(sizes)-1].lines)
}

// percentile returns the length that percent of the sorted sizes do not exceed.
func percentile(sizes []size, percent int) int {
	return sizes[(len(sizes)*percent+99)/100-1].lines
}
