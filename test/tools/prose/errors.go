package main

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// An errorString is a literal that becomes a part of an error's text.
type errorString struct {
	line int
	text string
}

// startsWithIt matches a text of which a clause begins with "it".
var startsWithIt = regexp.MustCompile(`(^|: )[Ii]t['’ ]`)

// helper matches the names of the project's own functions that make errors, such as fail, coded,
// badEnv and newExit.
var helper = regexp.MustCompile(
	`^(fail|coded|invalid|bad|wrong|usage)[A-Za-z]*$|^[a-z][A-Za-z]*(Err|Error|Errorf|Exit)$`)

// errorStrings returns the string literals in the arguments of the functions that make errors, and
// in Error methods.
func errorStrings(f *file) []errorString {
	var found []errorString
	seen := make(map[token.Pos]bool) // calls are nested in each other: coded(code, errors.New("…"))
	collect := func(root ast.Node) {
		ast.Inspect(root, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING || seen[literal.Pos()] {
				return true
			}
			seen[literal.Pos()] = true
			text, err := strconv.Unquote(literal.Value)
			if err == nil && strings.Contains(text, " ") {
				found = append(found, errorString{f.fset.Position(literal.Pos()).Line, text})
			}
			return true
		})
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if makesError(n.Fun) {
				for _, argument := range n.Args {
					collect(argument)
				}
			}
		case *ast.FuncDecl:
			if n.Recv != nil && n.Name.Name == "Error" && n.Body != nil {
				collect(n.Body)
			}
		}
		return true
	})
	return found
}

// makesError reports whether a call of fun makes an error of its arguments.
func makesError(fun ast.Expr) bool {
	switch fun := fun.(type) {
	case *ast.Ident:
		return helper.MatchString(fun.Name)
	case *ast.SelectorExpr:
		if pkg, ok := fun.X.(*ast.Ident); ok {
			switch pkg.Name + "." + fun.Sel.Name {
			case "errors.New", "fmt.Errorf", "types.NewError":
				return true
			}
		}
		return helper.MatchString(fun.Sel.Name)
	}
	return false
}
