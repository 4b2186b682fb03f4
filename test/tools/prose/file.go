package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"unicode/utf8"
)

// maxWidth is the width of comments and Markdown in columns, a tab counting tabWidth.
const (
	maxWidth = 100
	tabWidth = 4
)

// A file is one file to check.
type file struct {
	name  string
	kind  kind
	lines []string
	prose []proseLine // comment lines, or a document's paragraphs

	// What follows is set for Go files only.
	fset *token.FileSet
	tree *ast.File
	errs []errorString
}

// A proseLine is one line of text that can be wrapped.
type proseLine struct {
	line   int    // counted from 1
	indent string // what stands before the text: spaces, comment signs, list markers
	text   string
}

// parse splits content into lines, and finds the prose among them.
func parse(name string, content []byte) (*file, error) {
	f := &file{name: name, kind: kindOf(name), lines: strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")}
	if len(content) == 0 {
		f.lines = nil
	}
	switch f.kind {
	case goSource:
		f.fset = token.NewFileSet()
		tree, err := parser.ParseFile(f.fset, name, content, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		f.tree = tree
		f.prose = goComments(f)
		f.errs = errorStrings(f)
	case markdown:
		f.prose = paragraphs(f.lines)
	case shell, yaml:
		f.prose = hashComments(f.lines)
	}
	return f, nil
}

// goComments returns the lines of a Go file that hold a comment and nothing else, but for
// directives.
func goComments(f *file) []proseLine {
	var prose []proseLine
	for _, group := range f.tree.Comments {
		for _, comment := range group.List {
			first := f.fset.Position(comment.Pos())
			last := f.fset.Position(comment.End()).Line
			if before := f.lines[first.Line-1][:first.Column-1]; strings.TrimSpace(before) != "" {
				continue // it stands behind code, for whose width revive looks
			}
			for n := first.Line; n <= last; n++ {
				text := strings.TrimLeft(f.lines[n-1], " \t")
				text = strings.TrimPrefix(strings.TrimPrefix(text, "//"), "/*")
				if strings.HasPrefix(comment.Text, "//") && text != "" && text[0] != ' ' && text[0] != '\t' {
					continue // a directive
				}
				prose = append(prose, newProseLine(f.lines[n-1], n, text))
			}
		}
	}
	return prose
}

// hashComments returns the lines of a script or a YAML file that hold a comment and nothing else.
func hashComments(lines []string) []proseLine {
	var prose []proseLine
	for i, line := range lines {
		text, ok := strings.CutPrefix(strings.TrimLeft(line, " \t"), "#")
		if ok && !strings.HasPrefix(text, "!") {
			prose = append(prose, newProseLine(line, i+1, text))
		}
	}
	return prose
}

// paragraphs returns the lines of a document but for tables, code blocks, and the targets of links.
func paragraphs(lines []string) []proseLine {
	var prose []proseLine
	fence := ""
	for i, line := range lines {
		text := strings.TrimLeft(line, " \t>")
		switch {
		case fence != "":
			if strings.HasPrefix(text, fence) {
				fence = ""
			}
		case strings.HasPrefix(text, "```"), strings.HasPrefix(text, "~~~"):
			fence = text[:3]
		case strings.HasPrefix(text, "|"): // a table
		case strings.HasPrefix(text, "[") && strings.Contains(text, "]: "): // a link's target
		case text == "":
		default:
			prose = append(prose, newProseLine(line, i+1, strings.TrimLeft(text, "*-+#0123456789. ")))
		}
	}
	return prose
}

func newProseLine(line string, n int, text string) proseLine {
	trimmed := strings.TrimLeft(text, " ")
	indent := strings.TrimSuffix(line, trimmed)
	return proseLine{line: n, indent: indent, text: strings.TrimRight(trimmed, " ")}
}

// wide reports whether a line is wider than maxWidth although there is a space at which it could be
// wrapped. Indented code in a comment is not wrapped.
func (p proseLine) wide() bool {
	if p.width() <= maxWidth || strings.HasPrefix(p.text, "\t") {
		return false
	}
	first, _, found := strings.Cut(p.text, " ")
	return found && width(p.indent)+width(first) <= maxWidth
}

func (p proseLine) width() int {
	return width(p.indent) + width(p.text)
}

func width(s string) int {
	return utf8.RuneCountInString(s) + (tabWidth-1)*strings.Count(s, "\t")
}
