package pages

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// Constants returns the constants of the package in a directory below the source tree's root, by
// name, as they would be printed. It resolves no imports, so those of other packages have no value.
func Constants(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, fset := sources(t, dir)
	config := types.Config{Error: func(error) {}, FakeImportC: true}
	checked, _ := config.Check(dir, fset, files, nil) // the imports are missing
	all := map[string]string{}
	for _, name := range checked.Scope().Names() {
		c, ok := checked.Scope().Lookup(name).(*types.Const)
		if !ok || c.Val().Kind() == constant.Unknown {
			continue
		}
		all[name] = c.Val().ExactString()
		if c.Val().Kind() == constant.String {
			all[name] = constant.StringVal(c.Val())
		}
	}
	return all
}

// Selected returns the names that the package in a directory uses of another one, such as those of
// "types".
func Selected(t *testing.T, dir, other string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	files, _ := sources(t, dir)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := selector.X.(*ast.Ident); ok && x.Name == other {
					all[selector.Sel.Name] = true
				}
			}
			return true
		})
	}
	return all
}

// Literals returns the strings that the package in a directory has in its source.
func Literals(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	files, _ := sources(t, dir)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, text)
			}
			return true
		})
	}
	return all
}

func sources(t *testing.T, dir string) ([]*ast.File, *token.FileSet) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(Root(), dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files, fset
}

// JSONKeys returns the keys that a struct has in JSON, with those of the structs that it embeds.
func JSONKeys(v any) []string {
	keys := map[string]bool{}
	addKeys(reflect.TypeOf(v), keys)
	var all []string
	for key := range maps.Keys(keys) {
		all = append(all, key)
	}
	return all
}

func addKeys(of reflect.Type, keys map[string]bool) {
	for i := range of.NumField() {
		field := of.Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && key == "":
			addKeys(field.Type, keys)
		case key != "" && key != "-":
			keys[key] = true
		}
	}
}
