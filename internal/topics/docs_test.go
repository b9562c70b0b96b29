package topics

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentedSettings compares docs/internal-topics.md with the table of settings.
func TestDocumentedSettings(t *testing.T) {
	t.Parallel()
	const file = "../../docs/internal-topics.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range documented() {
		if !strings.Contains(string(text), row+"\n") {
			t.Errorf("%s lacks the row\n%s", file, row)
		}
	}
}

// documented returns the rows of the document's table.
func documented() []string {
	head, policy := "| setting |", "| `cleanup.policy` |"
	for _, k := range kinds {
		head += " " + k.name + " |"
		policy += " `" + k.policy + "` |"
	}
	rows := []string{head + " existing topic | reason |", policy + " refused; of a window store: warning | see below |"}
	for _, set := range settings {
		row := fmt.Sprintf("| `%s` |", set.name)
		for k := range kinds {
			switch {
			case !set.scope.has(Kind(k)):
				row += " – |"
			case set.legacy:
				row += " brokers before 3.6: `" + set.value + "` |"
			default:
				row += " `" + set.value + "` |"
			}
		}
		existing := "warning"
		if set.refused {
			existing = "refused"
		}
		if set.name == retentionMs {
			existing = "warning; refused: repartition topics, and less than the store's retention"
		}
		rows = append(rows, row+" "+existing+" | "+set.reason+" |")
	}
	return rows
}
