package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Comments are prose, and prose is read in narrow columns. Code may use 120.
const (
	commentColumns = 90
	tabColumns     = 4
)

// wide are the packages whose comments are not wrapped yet. Take a package off the list
// when it is. New packages never go on it.
var wide = []string{
	"internal/engine",
	"internal/graph",
	"internal/inputs",
	"internal/operator",
	"internal/registry",
	"internal/task",
	"internal/topics",
	"internal/transient",
	"internal/worker",
}

// TestCommentWidth keeps comments at 90 columns. A comment beside code counts from the
// start of its line: one that gets too wide moves above the code.
func TestCommentWidth(t *testing.T) {
	found := map[string]int{}
	for _, name := range goFiles(t) {
		for _, line := range wideComments(t, name) {
			pkg := path.Dir(name)
			found[pkg]++
			if !slices.Contains(wide, pkg) {
				t.Errorf("%s:%d: the comment is wider than %d columns (a tab counts %d)",
					name, line, commentColumns, tabColumns)
			}
		}
	}
	for _, pkg := range wide {
		if found[pkg] == 0 {
			t.Logf("%s has no wide comment any more: take it off the list", pkg)
		}
	}
}

// verbatim are comments that cannot be wrapped: directives, and addresses without a
// space.
var verbatim = regexp.MustCompile(`^//([a-z]+:|nolint|\s*\S+$)`)

// output is where the expected output of an Example begins. It has the width that the
// program prints.
var output = regexp.MustCompile(`(?i)^//\s*(unordered )?output:`)

// wideComments returns the lines of a file on which a comment ends beyond commentColumns.
func wideComments(t *testing.T, name string) []int {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(src), "\n")
	var found []int
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if output.MatchString(comment.Text) {
				break
			}
			if !verbatim.MatchString(comment.Text) {
				found = append(found, wideLines(files, comment, lines)...)
			}
		}
	}
	return found
}

// wideLines returns the lines of one comment that are too wide. A /* comment */ has
// several.
func wideLines(files *token.FileSet, comment *ast.Comment, lines []string) []int {
	var found []int
	first := files.Position(comment.Pos()).Line
	for n := first; n <= first+strings.Count(comment.Text, "\n"); n++ {
		if columns(strings.TrimRight(lines[n-1], "\r")) > commentColumns {
			found = append(found, n)
		}
	}
	return found
}

func columns(line string) int {
	return utf8.RuneCountInString(line) + (tabColumns-1)*strings.Count(line, "\t")
}

// goFiles returns every Go file of the module, tests included, by its name from the
// module's root.
func goFiles(t *testing.T) []string {
	t.Helper()
	root := filepath.Join("..", "..")
	var names []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && p != root) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		names = append(names, filepath.ToSlash(name))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
