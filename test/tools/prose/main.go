// Prose checks the language of the tree: the width of comments and documents, words that the
// project does not use, the form of error strings and of function comments, and the length of test
// names.
//
// Usage:
//
//	prose [-stats | -files] [PATH ...]
//
// A PATH is a file, a directory, or a directory with everything below it (DIR/...); without one,
// ./... is checked. Directories named vendor, testdata or bin, and hidden ones other than .ci and
// .github, are left out. Prose prints each finding as "file:line: message" and then exits with 1.
//
// A line that contains "prose:ignore" is not checked; a file that contains the same and "-words" is
// not searched for words.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 0 if nothing was found, 1 if something was, 2 if a file could not be
// read or the command line is wrong.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("prose", flag.ContinueOnError)
	flags.SetOutput(stderr)
	stats := flags.Bool("stats", false, "print figures about the files instead of checking them")
	list := flags.Bool("files", false, "print the names of the files instead of checking them")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	paths := flags.Args()
	if len(paths) == 0 {
		paths = []string{"./..."}
	}
	names, err := find(paths)
	if err != nil {
		fmt.Fprintln(stderr, "prose:", err)
		return 2
	}
	if *list {
		for _, name := range names {
			fmt.Fprintln(stdout, name)
		}
		return 0
	}
	files, err := parseAll(names)
	if err != nil {
		fmt.Fprintln(stderr, "prose:", err)
		return 2
	}
	if *stats {
		printStats(stdout, files)
		return 0
	}
	findings := check(files)
	for _, f := range findings {
		fmt.Fprintln(stdout, f)
	}
	if len(findings) > 0 {
		return 1
	}
	return 0
}

// parseAll reads and parses the named files.
func parseAll(names []string) ([]*file, error) {
	files := make([]*file, 0, len(names))
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f, err := parse(name, content)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}
