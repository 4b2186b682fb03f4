// Package pages reads the project's Markdown, for the tests that compare it with the code: links,
// headings, tables, and what is set as code.
package pages

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A Page is a Markdown file.
type Page struct {
	// Name is the path of the file below the source tree's root.
	Name  string
	lines []line
}

// A line is one line of a page.
type line struct {
	number int
	text   string
	// fence is the language of the fenced block that the line is in, or "text"; empty outside of
	// blocks.
	fence string
}

// Root returns the root of the source tree.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// All returns every page of the project.
func All(t *testing.T) []Page {
	t.Helper()
	var all []Page
	for _, name := range Files(t) {
		if filepath.Ext(name) == ".md" {
			all = append(all, Read(t, name))
		}
	}
	return all
}

// Files returns the names, below the source tree's root, of the files that are the project's own.
func Files(t *testing.T) []string {
	t.Helper()
	var names []string
	root := Root()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if slices.Contains([]string{".git", "vendor", "bin"}, entry.Name()) {
				return filepath.SkipDir
			}
		case entry.Type().IsRegular():
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Read returns the page of that name.
func Read(t *testing.T, name string) Page {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return Parse(name, string(data))
}

// Parse returns the page of that name with the given text.
func Parse(name, text string) Page {
	p := Page{Name: name}
	fence := ""
	for i, text := range strings.Split(text, "\n") {
		language, isFence := strings.CutPrefix(strings.TrimLeft(text, " "), "```")
		switch {
		case isFence && fence == "":
			fence = language
			if fence == "" {
				fence = "text"
			}
		case isFence:
			fence = ""
		default:
			p.lines = append(p.lines, line{i + 1, text, fence})
		}
	}
	return p
}

// Lines returns the number of lines.
func (p Page) Lines() int { return p.lines[len(p.lines)-1].number - 1 } // after the last newline

// Section returns the part of the page under the heading, up to the next one of the same level or a
// higher one.
func (p Page) Section(t *testing.T, heading string) Page {
	t.Helper()
	for i, l := range p.lines {
		if l.fence != "" || strings.TrimLeft(l.text, "#") != " "+heading || l.text[0] != '#' {
			continue
		}
		level := strings.Index(l.text, " ")
		end := len(p.lines)
		for j, other := range p.lines[i+1:] {
			marks := strings.Index(other.text, " ")
			if other.fence == "" && marks > 0 && marks <= level && strings.Trim(other.text[:marks], "#") == "" {
				end = i + 1 + j
				break
			}
		}
		return Page{p.Name, p.lines[i+1 : end]}
	}
	t.Fatalf("%s: no section %q", p.Name, heading)
	return Page{}
}

// A Found is something that a page has, and where.
type Found struct {
	Page, Text string
	Line       int
}

// String returns where it is, and what it is.
func (f Found) String() string { return fmt.Sprintf("%s:%d: %s", f.Page, f.Line, f.Text) }

var (
	codeSpan = regexp.MustCompile("`[^`]+`")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)|^\[[^]]+\]: (\S+)|(?:src|href)="([^"]+)"`)
	linkText = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// paragraphs returns the text outside of blocks: what may have a span of code that goes on in the
// next line is one.
func (p Page) paragraphs() []Found {
	var all []Found
	open := false
	for _, l := range p.lines {
		text := strings.TrimSpace(l.text)
		switch {
		case l.fence != "", text == "":
			open = false
		case open && text[0] != '|' && text[0] != '#':
			all[len(all)-1].Text += " " + text
		default:
			all = append(all, Found{p.Name, text, l.number})
			open = text[0] != '|' && text[0] != '#'
		}
	}
	return all
}

// Links returns the targets of the links.
func (p Page) Links() []Found {
	var all []Found
	for _, paragraph := range p.paragraphs() {
		for _, match := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(paragraph.Text, ""), -1) {
			all = append(all, Found{p.Name, strings.Join(match[1:], ""), paragraph.Line})
		}
	}
	return all
}

// Anchors returns what a link to a heading of the page has after the #, as GitHub makes it.
func (p Page) Anchors() []string {
	var all []string
	for _, l := range p.lines {
		title := strings.TrimLeft(l.text, "#")
		if l.fence != "" || title == l.text || !strings.HasPrefix(title, " ") {
			continue
		}
		title = linkText.ReplaceAllString(strings.TrimSpace(title), "$1")
		base := strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
		anchor := base
		for n := 1; slices.Contains(all, anchor); n++ {
			anchor = fmt.Sprintf("%s-%d", base, n)
		}
		all = append(all, anchor)
	}
	return all
}

// Code returns what is set as code: each span, and each line of a fenced block, with those that it
// goes on in after a backslash.
func (p Page) Code() []Found {
	var all []Found
	for _, paragraph := range p.paragraphs() {
		for _, span := range Spans(paragraph.Text) {
			all = append(all, Found{p.Name, span, paragraph.Line})
		}
	}
	goesOn := false
	for _, l := range p.lines {
		if l.fence == "" {
			continue
		}
		text, more := strings.CutSuffix(l.text, "\\")
		if goesOn {
			last := &all[len(all)-1].Text
			*last = strings.TrimRight(*last, " ") + " " + strings.TrimSpace(text)
		} else {
			all = append(all, Found{p.Name, text, l.number})
		}
		goesOn = more
	}
	return all
}

// Blocks returns the fenced blocks in a language.
func (p Page) Blocks(language string) []Found {
	var all []Found
	for i, l := range p.lines {
		switch {
		case l.fence != language:
		case i > 0 && p.lines[i-1].fence == language && p.lines[i-1].number == l.number-1:
			all[len(all)-1].Text += "\n" + l.text
		default:
			all = append(all, Found{p.Name, l.text, l.number})
		}
	}
	return all
}

// Text returns all lines outside of blocks, as one.
func (p Page) Text() string {
	var b strings.Builder
	for _, paragraph := range p.paragraphs() {
		b.WriteString(paragraph.Text + " ")
	}
	return b.String()
}

// A Row is a row of a table, its cells by their column's heading.
type Row map[string]string

// Table returns the rows of the first table whose first column has that heading.
func (p Page) Table(t *testing.T, heading string) []Row {
	t.Helper()
	var columns []string
	var rows []Row
	for _, l := range p.lines {
		cells := strings.Split(strings.Trim(strings.TrimSpace(l.text), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch isRow := l.fence == "" && strings.HasPrefix(l.text, "|"); {
		case columns != nil && !isRow:
			return rows
		case !isRow, strings.HasPrefix(cells[0], "---"):
		case columns == nil && cells[0] == heading:
			columns = cells
		case columns != nil:
			row := Row{}
			for i, cell := range cells[:min(len(cells), len(columns))] {
				row[columns[i]] = cell
			}
			rows = append(rows, row)
		}
	}
	if columns == nil {
		t.Fatalf("%s: no table with the column %q", p.Name, heading)
	}
	return rows
}

// Spans returns what the text has as code.
func Spans(text string) []string {
	var all []string
	for _, span := range codeSpan.FindAllString(text, -1) {
		all = append(all, strings.Trim(span, "`"))
	}
	return all
}

// Keys returns what a column of the rows has as code, in order.
func Keys(rows []Row, column string) []string {
	var all []string
	for _, row := range rows {
		all = append(all, Spans(row[column])...)
	}
	return all
}

// Compare reports what the page names and the code does not have, and the other way round.
func Compare(t *testing.T, what string, page, code []string) {
	t.Helper()
	for _, name := range page {
		if !slices.Contains(code, name) {
			t.Errorf("%s: %q is documented, and does not exist", what, name)
		}
	}
	for _, name := range code {
		if !slices.Contains(page, name) {
			t.Errorf("%s: %q is not documented", what, name)
		}
	}
	if len(code) == 0 {
		t.Errorf("%s: the code has none", what)
	}
}
