package millrace_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The pages for users of other libraries name many parts of the API. The tests compare
// them with the code, so that a renamed or added function cannot leave a page behind.

var (
	mappingPages = []string{"docs/kafka-streams.md", "docs/goka.md"}
	apiPackages  = []string{".", "topology", "processor", "state", "windowstore", "sessionstore", "versionedstore", "serde", "batch", "topologytest"}
	codeSpan     = regexp.MustCompile("`([^`]+)`")
	apiName      = regexp.MustCompile(`^([A-Z]\w*|[A-Za-z]+(\.[A-Z]\w*)+)$`)
	exportedName = regexp.MustCompile(`^[A-Z]\w*(\.[A-Z]\w*)?$`)
)

// TestMappingPagesNameWhatExists looks up the names in the Millrace column of each table.
func TestMappingPagesNameWhatExists(t *testing.T) {
	t.Parallel()
	names := exportedNames(t)
	for _, page := range mappingPages {
		rows := tableRows(t, page)
		if len(rows) < 20 {
			t.Errorf("%s has %d rows", page, len(rows))
		}
		for _, row := range rows {
			for _, span := range codeSpan.FindAllStringSubmatch(row.ours, -1) {
				if name := span[1]; isAPIName(name) && !names[name] {
					t.Errorf("%s:%d: %s does not exist", page, row.line, name)
				}
			}
		}
	}
}

// TestMappingPagesGiveReasons wants a reason in each row, and a word about what there is
// instead if there is no counterpart.
func TestMappingPagesGiveReasons(t *testing.T) {
	t.Parallel()
	for _, page := range mappingPages {
		for _, row := range tableRows(t, page) {
			for _, cell := range row.cells {
				if cell == "" {
					t.Errorf("%s:%d: an empty cell", page, row.line)
				}
			}
			if row.ours == "–" && !strings.HasPrefix(row.reason, "Not there yet") && !strings.HasPrefix(row.reason, "No counterpart") && !strings.HasPrefix(row.reason, "See ") {
				t.Errorf("%s:%d: no counterpart and no reason: say Not there yet, or No counterpart and why", page, row.line)
			}
			if row.reason == "Not there yet." || row.reason == "No counterpart." {
				t.Errorf("%s:%d: say also why, or what to do instead", page, row.line)
			}
		}
	}
}

// mappingRow is a row of a table with a Millrace column.
type mappingRow struct {
	line   int
	cells  []string
	ours   string
	reason string
}

// tableRows returns the rows of the tables of a page.
func tableRows(t *testing.T, page string) (rows []mappingRow) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	ours := -1 // the Millrace column, or -1 outside of a table
	for i, line := range strings.Split(string(data), "\n") {
		if !strings.HasPrefix(line, "|") {
			ours = -1
			continue
		}
		cells := cellsOf(line)
		switch {
		case ours < 0:
			for j, cell := range cells {
				if cell == "Millrace" {
					ours = j
				}
			}
			if ours < 0 {
				t.Errorf("%s:%d: a table without a Millrace column", page, i+1)
				ours = 0
			}
		case strings.HasPrefix(line, "|---"):
		default:
			row := mappingRow{line: i + 1, cells: cells, ours: cells[ours]}
			if len(cells) > ours+1 {
				row.reason = cells[ours+1]
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func cellsOf(line string) []string {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// isAPIName reports whether a code span names a part of the API: a word that begins with
// a capital letter, or such words behind a package or a type. Names of the standard
// library do not count.
func isAPIName(name string) bool {
	standard := strings.HasPrefix(name, "fmt.") || strings.HasPrefix(name, "time.")
	return !standard && apiName.MatchString(name)
}

// exportedNames returns the names of everything that the public packages export, as the
// pages write them: Filter and Stream.Filter for package topology, Config.Workers for the
// root, and processor.Context.Every for the others.
func exportedNames(t *testing.T) map[string]bool {
	names := map[string]bool{}
	for _, dir := range apiPackages {
		prefix := dir + "."
		if dir == "." {
			prefix = "millrace."
		}
		for _, name := range exportedBy(t, dir) {
			names[prefix+name] = true
			if dir == "topology" || strings.HasPrefix(name, "Config.") {
				names[name] = true
			}
		}
	}
	return names
}

// exportedBy returns the exported functions, types, variables, methods and fields of a
// package, methods and fields behind their types.
func exportedBy(t *testing.T, dir string) (names []string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			names = append(names, declared(decl)...)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !exportedName.MatchString(name) })
	if len(names) == 0 {
		t.Fatalf("package %s exports nothing", dir)
	}
	return names
}

// declared returns the names that a declaration declares.
func declared(decl ast.Decl) (names []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil {
			return []string{receiver(d.Recv.List[0].Type) + "." + d.Name.Name}
		}
		return []string{d.Name.Name}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
				names = append(names, members(s)...)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// receiver returns the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// members returns the fields of a struct, or the methods of an interface.
func members(s *ast.TypeSpec) (names []string) {
	var fields *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		fields = t.Fields
	case *ast.InterfaceType:
		fields = t.Methods
	default:
		return nil
	}
	for _, f := range fields.List {
		for _, name := range f.Names {
			names = append(names, s.Name.Name+"."+name.Name)
		}
	}
	return names
}
