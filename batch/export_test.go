package batch

import "github.com/millrace-streams/millrace/topology"

// SetChunk sets how many rows a task reads or writes for closed batches in one
// transaction.
func SetChunk(b *topology.Builder, rows int) { planOf(b).chunk = rows }
