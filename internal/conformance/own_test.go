package conformance

import (
	"fmt"
	"regexp"
	"sync/atomic"

	"github.com/millrace-streams/millrace/topology"
)

// The interpreter adds nodes that a case does not have: nodes that convert values to the
// type any, that count records, or that make two nodes of one. Their names say so, and
// they are left out when descriptions are compared. A name that is derived from such a
// name has another ending, except that of the merge of joints.

const (
	ownSuffix = ".interpreter"
	joint     = ".joint" + ownSuffix // between a parent and a child with several parents
)

var ownName = regexp.MustCompile(`\.interpreter$|\.joint\.interpreter-merge(-[0-9]+)?$`)

var ownNodes atomic.Int64

// own names a node of the interpreter.
func own() topology.Option { return topology.Named(fmt.Sprint(ownNodes.Add(1), ownSuffix)) }
