package millrace_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeQuotesTheExample: the first block of Go in the README stands in the Example word for word.
func TestReadmeQuotesTheExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README has no block of Go")
	}
	indented := regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(string(block[1]), "\t$1")
	if !strings.Contains(string(example), indented) {
		t.Errorf("this block of the README is not in example_test.go:\n%s", block[1])
	}
}
