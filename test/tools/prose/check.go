//prose:ignore-words

package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	ignore      = "prose:ignore"
	ignoreWords = "prose:" + "ignore-words"
	maxTestName = 60
	maxIsShare  = 0.05 // of the function comments
)

// A finding is a place that breaks a rule.
type finding struct {
	name    string
	line    int
	message string
}

// String returns the form that editors and CI systems follow.
func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s", f.name, f.line, f.message)
}

// check returns what is wrong with files, in order.
func check(files []*file) []finding {
	var all []finding
	for _, f := range files {
		all = append(all, f.check()...)
	}
	return append(all, checkIsComments(files)...)
}

func (f *file) check() []finding {
	var all []finding
	add := func(line int, format string, args ...any) {
		if !strings.Contains(f.lines[line-1], ignore) {
			all = append(all, finding{f.name, line, fmt.Sprintf(format, args...)})
		}
	}
	for _, p := range f.prose {
		if p.wide() {
			add(p.line, "%d columns, limit is %d: wrap it", p.width(), maxWidth)
		}
	}
	for line, words := range f.words() {
		add(line, "say operation or directory, not %q", words)
	}
	for _, e := range f.errs {
		if startsWithIt.MatchString(e.text) {
			add(e.line, "an error string in which a clause begins with \"it\": %q", e.text)
		}
	}
	for _, fn := range f.functions() {
		if f.isTest() && isTestName.MatchString(fn.Name.Name) && utf8.RuneCountInString(fn.Name.Name) > maxTestName {
			add(f.fset.Position(fn.Pos()).Line, "the test's name has %d characters, limit is %d",
				utf8.RuneCountInString(fn.Name.Name), maxTestName)
		}
	}
	slices.SortStableFunc(all, func(a, b finding) int { return a.line - b.line })
	return all
}

var isTestName = regexp.MustCompile(`^(Test|Fuzz|Benchmark|Example)`)

func (f *file) isTest() bool {
	return strings.HasSuffix(f.name, "_test.go")
}

// functions returns the functions and methods that a Go file declares.
func (f *file) functions() []*ast.FuncDecl {
	if f.tree == nil {
		return nil
	}
	var all []*ast.FuncDecl
	for _, declaration := range f.tree.Decls {
		if fn, ok := declaration.(*ast.FuncDecl); ok {
			all = append(all, fn)
		}
	}
	return all
}

// notOurs matches the words that the project does not use, by themselves or in a name such as
// podVerb.
var notOurs = regexp.MustCompile(
	`(?:\b|_)([vV]erbs?|[fF]olders?)(?:\b|_|[A-Z])|[a-z0-9](Verbs?|Folders?)(?:\b|_|[A-Z])|\b(VERBS?|FOLDERS?)\b`)

// kubernetesVerb matches the keys of what a role allows and of what an audit event reports.
var kubernetesVerb = regexp.MustCompile("^[\\s-]*verbs:|\"verbs?\":|\\b[vV]erbs?: ?\\[|`json:\"verbs?\"`")

// words returns the words of each line that the project does not use.
func (f *file) words() map[int][]string {
	all := make(map[int][]string)
	for i, line := range f.lines {
		if strings.Contains(line, ignoreWords) {
			return nil
		}
		for _, match := range notOurs.FindAllStringSubmatch(kubernetesVerb.ReplaceAllString(line, ""), -1) {
			if !strings.Contains(line, ignore) {
				all[i+1] = append(all[i+1], cmp.Or(match[1:]...))
			}
		}
	}
	return all
}

// An isComment is the comment of a function that only says what the function is.
type isComment struct {
	file *file
	line int
	name string
}

// isComments returns the function comments of the form "X is …", and the number of all function
// comments.
func isComments(files []*file) (found []isComment, total int) {
	for _, f := range files {
		for _, fn := range f.functions() {
			text := fn.Doc.Text()
			if text == "" {
				continue
			}
			total++
			rest, ok := strings.CutPrefix(text, fn.Name.Name)
			if ok && (strings.HasPrefix(rest, " is ") || strings.HasPrefix(rest, " are ")) {
				found = append(found, isComment{f, f.fset.Position(fn.Doc.Pos()).Line, fn.Name.Name})
			}
		}
	}
	return found, total
}

// checkIsComments reports each comment of the form "X is …" if there are too many. Whatever the
// number of files, one is allowed.
func checkIsComments(files []*file) []finding {
	found, total := isComments(files)
	if float64(len(found)) <= max(1, maxIsShare*float64(total)) {
		return nil
	}
	all := make([]finding, len(found))
	for i, c := range found {
		all[i] = finding{c.file.name, c.line, fmt.Sprintf("%d of %d function comments have the form \"X is\", "+
			"limit is %.0f %%: begin with what it does, such as \"%s returns\"",
			len(found), total, 100*maxIsShare, c.name)}
	}
	return all
}
