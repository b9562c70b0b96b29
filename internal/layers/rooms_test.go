package layers

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// row is a row of the table of packages in DESIGN.md.
var row = regexp.MustCompile("(?m)^\\| (?:`([a-z/]+)`|the root) \\| [^|]+ \\| ([^|]+) \\|$")

// TestDesignListsTheRooms compares the table of packages in DESIGN.md with the imports of
// the code, in both directions. It also checks that no package imports one that stands
// below it.
func TestDesignListsTheRooms(t *testing.T) {
	design, err := os.ReadFile(filepath.Join("..", "..", "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	imports := actualImports(t)
	var above []string
	for _, match := range row.FindAllStringSubmatch(string(design), -1) {
		pkg, says := match[1], regexp.MustCompile("[a-z/]+").FindAllString(match[2], -1)
		slices.Sort(says)
		if !slices.Equal(says, imports[pkg]) {
			t.Errorf("DESIGN.md: %s imports %v, and not %v", pkg, imports[pkg], says)
		}
		for _, imported := range says {
			if !slices.Contains(above, imported) {
				t.Errorf("DESIGN.md: %s stands above %s, which it imports", pkg, imported)
			}
		}
		above = append(above, pkg)
	}
	for pkg := range mayImport {
		if !slices.Contains(above, pkg) && !strings.HasSuffix(pkg, "test") {
			t.Errorf("DESIGN.md does not list package %s", pkg)
		}
	}
}

// TestMayImportIsTight refuses a permission that no package needs.
func TestMayImportIsTight(t *testing.T) {
	imports := actualImports(t)
	for pkg, allowed := range mayImport {
		for _, imported := range allowed {
			if !slices.Contains(imports[pkg], imported) {
				t.Errorf("%s may import %s, and does not: take it off the list", pkg, imported)
			}
		}
	}
}

// actualImports returns the packages of this module that each package imports, sorted.
func actualImports(t *testing.T) map[string][]string {
	found := map[string][]string{}
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
				found[s.pkg] = append(found[s.pkg], ours)
			}
		}
	}
	for pkg := range found {
		slices.Sort(found[pkg])
		found[pkg] = slices.Compact(found[pkg])
	}
	return found
}
