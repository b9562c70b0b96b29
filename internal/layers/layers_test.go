// Package layers holds tests that keep rules of the whole repository: which package may
// import which, and how wide comments are.
package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/millrace-streams/millrace"

// mayImport lists, for each package of this module, the packages of this module that it
// imports. Tests are not counted. A package that is missing here is an error, so that its
// layer is chosen deliberately.
var mayImport = map[string][]string{
	"serde/internal/jsonscan": {},
	"serde":                   {"serde/internal/jsonscan"},
	"serde/serdetest":         {"serde"},
	"processor":               {},

	// Tests change seams inside a run. Every package may import it, and it imports none.
	"internal/seam": {},

	"internal/engine":          {"internal/seam", "serde", "processor"},
	"internal/store":           {"internal/engine", "serde", "processor"},
	"internal/store/storetest": {"internal/store", "internal/engine", "processor"},
	// A store in the graph is a store.Spec.
	"internal/graph":           {"internal/store", "serde", "processor"},
	"internal/graph/graphtest": {"internal/graph", "internal/store/storetest", "processor"},

	"state":                             {"internal/store", "internal/engine", "processor", "serde"},
	"state/statetest":                   {"state", "processor"},
	"windowstore":                       {"internal/store", "internal/engine", "processor", "serde"},
	"windowstore/windowstoretest":       {"windowstore", "processor"},
	"sessionstore":                      {"internal/store", "internal/engine", "processor", "serde"},
	"versionedstore":                    {"internal/store", "processor", "serde"},
	"versionedstore/versionedstoretest": {"versionedstore", "processor"},
	"topology":                          {"internal/operator", "internal/foreign", "internal/graph", "internal/store", "sessionstore", "windowstore", "state", "processor", "serde"},

	// Batches: the API at the top, and below it one package for each step of a record.
	"batch/internal/wire":    {"processor", "serde"},
	"batch/internal/stamp":   {"batch/internal/wire", "processor", "serde"},
	"batch/internal/closing": {"batch/internal/wire", "state", "processor"},
	"batch/internal/rows":    {"batch/internal/wire", "serde"},
	"batch/internal/count":   {"batch/internal/closing", "batch/internal/rows", "batch/internal/wire", "state", "processor", "serde"},
	"batch/internal/gather":  {"batch/internal/closing", "batch/internal/rows", "batch/internal/wire", "state", "processor", "serde"},
	"batch/internal/output":  {"batch/internal/gather", "batch/internal/closing", "batch/internal/rows", "batch/internal/wire", "processor", "serde"},
	"batch": {
		"batch/internal/stamp", "batch/internal/count", "batch/internal/gather", "batch/internal/output",
		"batch/internal/closing", "batch/internal/rows", "batch/internal/wire",
		"topology", "processor", "serde",
	},

	"internal/batchsize": {},

	// Queries by bytes. The types, and where a partition is, are above.
	"internal/query": {"internal/store", "internal/engine", "serde"},

	// The messages and the rows of foreign-key joins, as bytes.
	"internal/foreign": {"serde"},

	// The operators know stores only by their cells: every store with cells can hold a
	// table.
	"internal/operator": {"internal/foreign", "internal/graph", "internal/store", "internal/engine", "processor", "serde"},

	// The core: no goroutine, no clock, no socket, no Kafka client (see forbidden).
	"internal/task": {"internal/batchsize", "internal/graph", "internal/store", "internal/engine", "processor"},

	// The writer of a global store: a task, with its own way to commit.
	"internal/global": {"internal/task", "internal/graph", "internal/engine", "processor"},

	// Pieces of the shell. They do not know each other; the worker connects them.
	"internal/backoff":       {},
	"internal/dialer":        {},
	"internal/protocol":      {},
	"internal/transient":     {},
	"internal/health":        {"internal/backoff"},
	"internal/seedtest":      {},
	"internal/needtest":      {},
	"internal/jointest":      {},
	"internal/turn":          {},
	"internal/follow":        {},
	"internal/topicid":       {},
	"internal/shutdown":      {},
	"internal/kafkatest":     {},
	"internal/taskid":        {"processor"},
	"internal/assignment":    {"internal/taskid"},
	"internal/statedir":      {},
	"internal/txn":           {"internal/backoff", "internal/batchsize"},
	"internal/restore":       {"internal/backoff", "internal/transient"},
	"internal/topics":        {"internal/backoff", "internal/transient"},
	"internal/guard":         {"internal/registry", "internal/graph", "internal/store"},
	"internal/registrytopic": {"internal/restore"},
	"internal/registry":      {"internal/registrytopic", "internal/restore", "internal/backoff", "internal/graph", "internal/store", "internal/topicid"},
	"internal/resume":        {},
	"internal/inputs":        {"internal/graph", "internal/engine", "internal/registrytopic", "internal/restore", "internal/resume", "internal/topicid", "internal/turn"},
	"internal/membership":    {"internal/seam", "internal/assignment", "internal/taskid", "internal/txn", "internal/transient"},
	"internal/worker":        {"internal/seam", "internal/txn", "internal/taskid", "internal/backoff", "internal/task", "internal/graph", "internal/engine", "processor"},

	// The run connects the pieces of the shell.
	"internal/runtime": {
		"internal/seam", "internal/worker", "internal/membership", "internal/inputs", "internal/resume", "internal/guard", "internal/registry",
		"internal/topics", "internal/restore", "internal/txn", "internal/statedir", "internal/assignment", "internal/health",
		"internal/shutdown", "internal/dialer", "internal/protocol", "internal/turn", "internal/taskid", "internal/transient", "internal/backoff",
		"internal/global", "internal/follow",
		"internal/task", "internal/graph", "internal/store", "internal/engine", "processor",
	},

	// The root knows the pieces of the shell only through the reports of the run.
	"": {
		"internal/runtime", "internal/query", "internal/worker", "internal/health", "internal/resume", "internal/graph", "internal/engine",
		"topology", "processor", "serde",
	},

	"topologytest": {"internal/seam", "topology", "internal/global", "internal/task", "internal/graph", "internal/store", "internal/engine", "processor", "serde"},
}

// public lists the packages that users import. Programs, and tests on real Kafka, may use
// only these.
var public = []string{"", "batch", "topology", "topologytest", "sessionstore", "windowstore", "versionedstore", "state", "processor", "serde"}

// forbidden lists imports from outside the module that a layer must not have, with the
// reason.
var forbidden = []struct{ in, imports, reason string }{
	{"serde", "github.com/twmb/franz-go", "a serde knows bytes, not Kafka"},
	{"serde/internal", "github.com/twmb/franz-go", "a serde knows bytes, not Kafka"},
	{"serde", "unsafe", "what JSON decodes is set through reflect"},
	{"serde/internal", "unsafe", "what JSON decodes is set through reflect"},
	{"processor", "github.com/twmb/franz-go", "user code does not depend on the client"},
	{"topology", "github.com/twmb/franz-go", "a topology is plain data"},
	{"batch", "github.com/twmb/franz-go", "batches are made of public parts"},
	{"batch/internal", "github.com/twmb/franz-go", "batches are made of public parts"},
	{"state", "github.com/twmb/franz-go", "stores log through their task"},
	{"windowstore", "github.com/twmb/franz-go", "stores log through their task"},
	{"sessionstore", "github.com/twmb/franz-go", "stores log through their task"},
	{"topologytest", "github.com/twmb/franz-go", "the driver has no broker"},
	{"internal/task", "github.com/twmb/franz-go", "the core can be tested at any step without a broker"},
	{"internal/operator", "github.com/twmb/franz-go", "the core can be tested at any step without a broker"},
	{"internal/graph", "github.com/twmb/franz-go", "the core can be tested at any step without a broker"},
	{"internal/engine", "github.com/twmb/franz-go", "the core can be tested at any step without a broker"},
	{"internal/store", "github.com/twmb/franz-go", "the core can be tested at any step without a broker"},
	{"internal/global", "github.com/twmb/franz-go", "the core can be tested at any step without a broker"},
	{"internal/task", "net", "the core has no socket"},
	{"internal/graph", "net", "the core has no socket"},
	{"", "github.com/twmb/franz-go/pkg/kfake", "a fake broker must not get into users' binaries"},
	{"", "github.com/testcontainers", "test libraries must not get into users' binaries"},
	{"", "testing", "test libraries must not get into users' binaries"},
}

// source is one file that is not a test.
type source struct {
	name    string // relative to the module's root
	pkg     string // the directory
	file    *ast.File
	imports []string
}

func TestLayers(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			if ours, ok := strings.CutPrefix(imported, module); ok {
				checkOurs(t, s, strings.TrimPrefix(ours, "/"))
				continue
			}
			for _, f := range forbidden {
				if inLayer(s.pkg, f.in) && (imported == f.imports || strings.HasPrefix(imported, f.imports+"/") && f.imports != "testing") {
					t.Errorf("%s imports %s: %s", s.name, imported, f.reason)
				}
			}
		}
	}
}

// inLayer reports whether a rule for a layer applies to pkg. The root's rules apply to
// every package that can be part of a user's binary. The rules of a folder x/internal
// apply to all packages in it.
func inLayer(pkg, layer string) bool {
	if layer == "" {
		return !isProgram(pkg) && !strings.HasSuffix(pkg, "test")
	}
	return pkg == layer || strings.HasSuffix(layer, "/internal") && strings.HasPrefix(pkg, layer+"/")
}

func isProgram(pkg string) bool {
	for _, folder := range []string{"examples", "bench", "integration"} {
		if pkg == folder || strings.HasPrefix(pkg, folder+"/") {
			return true
		}
	}
	return false
}

func checkOurs(t *testing.T, s source, imported string) {
	if isProgram(s.pkg) {
		within := strings.HasPrefix(imported, strings.Split(s.pkg, "/")[0]+"/")
		if !within && !slices.Contains(public, imported) {
			t.Errorf("%s imports %s: programs use public packages only", s.name, imported)
		}
		return
	}
	allowed, known := mayImport[s.pkg]
	switch {
	case strings.HasPrefix(s.pkg, "internal/") && strings.HasSuffix(s.pkg, "conformance"):
		return // a test of everything
	case !known:
		t.Errorf("%s: package %s is new: say in this test what it may import", s.name, s.pkg)
	case !slices.Contains(allowed, imported):
		t.Errorf("%s imports %s, which is not below %s", s.name, imported, s.pkg)
	}
}

// TestMistakes refuses the code of a mistake in any file but mistake.go. The program must
// be readable without the mistakes.
func TestMistakes(t *testing.T) {
	for _, s := range sources(t) {
		if s.pkg == "internal/seam" || path.Base(s.name) == "mistake.go" || strings.HasSuffix(s.name, "_test.go") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || slices.Contains([]string{"Mistake", "NoShortcuts", "Combining", "SetLevers", "SweepRows"}, sel.Sel.Name) {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "seam" {
				t.Errorf("%s names seam.%s: its code belongs into a file mistake.go", s.name, sel.Sel.Name)
			}
			return true
		})
	}
}

// TestNoInternalTypesInPublicSignatures refuses types of internal packages in exported
// signatures: users cannot name such a type.
func TestNoInternalTypesInPublicSignatures(t *testing.T) {
	for _, s := range sources(t) {
		if !slices.Contains(public, s.pkg) {
			continue
		}
		hidden := map[string]string{}
		for _, spec := range s.file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if strings.HasPrefix(imported, module+"/") && strings.Contains(imported, "/internal/") {
				name := path.Base(imported)
				if spec.Name != nil {
					name = spec.Name.Name
				}
				hidden[name] = imported
			}
		}
		for _, decl := range s.file.Decls {
			for name, signature := range exported(decl) {
				ast.Inspect(signature, func(n ast.Node) bool {
					if sel, ok := n.(*ast.SelectorExpr); ok {
						if x, ok := sel.X.(*ast.Ident); ok && hidden[x.Name] != "" {
							t.Errorf("%s: the signature of %s names %s.%s", s.name, name, hidden[x.Name], sel.Sel.Name)
						}
					}
					return true
				})
			}
		}
	}
}

// exported returns the signatures that a declaration exports, by name.
func exported(decl ast.Decl) map[string]ast.Node {
	found := map[string]ast.Node{}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || receiverExported(d.Recv)) {
			found[d.Name.Name] = d.Type
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() {
					addType(found, spec)
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() && spec.Type != nil {
						found[name.Name] = spec.Type
					}
				}
			}
		}
	}
	return found
}

// receiverExported reports whether methods of the receiver are methods of an exported
// type.
func receiverExported(recv *ast.FieldList) bool {
	typ := recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return false
		}
	}
}

// addType adds the exported fields or methods of a type. Unexported ones do not matter.
func addType(found map[string]ast.Node, spec *ast.TypeSpec) {
	var fields *ast.FieldList
	switch typ := spec.Type.(type) {
	case *ast.StructType:
		fields = typ.Fields
	case *ast.InterfaceType:
		fields = typ.Methods
	default:
		found[spec.Name.Name] = spec.Type
		return
	}
	for _, field := range fields.List {
		for _, name := range field.Names {
			if name.IsExported() {
				found[spec.Name.Name+"."+name.Name] = field.Type
			}
		}
	}
}

func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var all []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && p != root) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		s := source{name: filepath.ToSlash(name), file: file}
		if s.pkg = path.Dir(s.name); s.pkg == "." {
			s.pkg = ""
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imported)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
