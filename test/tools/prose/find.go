package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// find returns the files that paths select, sorted and each once.
func find(paths []string) ([]string, error) {
	var names []string
	for _, path := range paths {
		dir, recursive := strings.CutSuffix(path, "/...")
		dir = filepath.Clean(dir)
		info, err := os.Stat(dir)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			names = append(names, dir)
			continue
		}
		err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir():
				if name != dir && (!recursive || skipped(entry.Name())) {
					return filepath.SkipDir
				}
			case entry.Type().IsRegular() && kindOf(name) != other:
				names = append(names, name)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// skipped reports whether a directory of that name, and all below it, is not the project's prose.
func skipped(name string) bool {
	switch name {
	case "vendor", "testdata", "bin":
		return true
	case ".ci", ".github":
		return false
	}
	return strings.HasPrefix(name, ".")
}

// kind tells the languages of files apart.
type kind int

const (
	other kind = iota
	goSource
	markdown
	shell
	yaml
)

// kindOf goes by the name of a file, and by its first line where the name has no extension.
func kindOf(name string) kind {
	switch filepath.Ext(name) {
	case ".go":
		return goSource
	case ".md":
		return markdown
	case ".sh":
		return shell
	case ".yaml", ".yml":
		return yaml
	case "":
		if filepath.Base(name) == "Dockerfile" || isScript(name) {
			return shell
		}
	}
	return other
}

// isScript reports whether the file begins with the line of a shell script.
func isScript(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 64)
	n, _ := f.Read(head)
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	return strings.HasPrefix(line, "#!") && strings.HasSuffix(line, "sh")
}
