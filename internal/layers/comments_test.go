package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// Comments are prose, and prose is easier to read in narrow columns. Code may use 120.
const (
	commentColumns = 90
	tabColumns     = 4
)

// TestCommentWidth keeps comments at 90 columns. A comment beside code counts from the
// start of its line. If it is too wide, it moves above the code.
func TestCommentWidth(t *testing.T) {
	for _, name := range goFiles(t) {
		for _, line := range wideComments(t, name) {
			t.Errorf("%s:%d: the comment is wider than %d columns (a tab counts %d)",
				name, line, commentColumns, tabColumns)
		}
	}
}

// verbatim are comments that cannot be wrapped: directives, and addresses without a
// space.
var verbatim = regexp.MustCompile(`^//([a-z]+:|nolint|\s*\S+$)`)

// output matches the start of the expected output of an Example. Its width is that of the
// program's output.
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
