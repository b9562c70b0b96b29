package global

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
)

// Fingerprint returns 16 hexadecimal digits that differ if rows of one store would be
// misread as those of the other: if the topic, the name of the store, its formats or the
// kind of its writer differ. It names the directory of the store's database.
func Fingerprint(g *graph.Global) string {
	text := fmt.Sprintf("%q %q %q", g.Topic.Name, g.Store.Name, g.Store.Format)
	for _, n := range g.Graph.Nodes {
		text += fmt.Sprintf(" %q", n.Type)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
