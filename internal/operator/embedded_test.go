package operator

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestOperatorsEmbedNothing reads the types with type parameters. If one of them embeds a
// type with many methods, a program compiles all these methods once more for each list of
// type arguments.
func TestOperatorsEmbedNothing(t *testing.T) {
	t.Parallel()
	few := map[string]bool{ // types with few methods
		"base": true, "clock": true, "joining": true, "matched": true, "heldRows": true,
		"cellReader": true, "newValues": true, "answering": true, "subscriber": true, "windowJoinResults": true,
		"streamTableJoin": true, "host": true, "Record": true, "Lookup": true,
		// configurations, which have the method New
		"Branch": true, "ForeignSubscribe": true, "Suppression": true, "TableMapValues": true,
	}
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("files %q, %v", names, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.TypeParams == nil {
				return true
			}
			if of, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range of.Fields.List {
					if len(field.Names) == 0 && !few[nameOf(field.Type)] {
						t.Errorf("%s: %s embeds %s: hold it in a field", name, spec.Name.Name, nameOf(field.Type))
					}
				}
			}
			return true
		})
	}
}

// nameOf returns the name of an embedded type, without its package and type arguments.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return nameOf(e.X)
	case *ast.IndexExpr:
		return nameOf(e.X)
	case *ast.IndexListExpr:
		return nameOf(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return "?"
}
