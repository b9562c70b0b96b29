package global

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
)

// Fingerprint returns 16 hexadecimal digits. They change if the topic, the name of the
// store, its formats or the kind of its writer change, because the rows could then be
// misread. The directory of the store's database is named after them.
func Fingerprint(g *graph.Global) string {
	text := fmt.Sprintf("%q %q %q", g.Topic.Name, g.Store.Name, g.Store.Format)
	for _, n := range g.Graph.Nodes {
		text += fmt.Sprintf(" %q", n.Type)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
