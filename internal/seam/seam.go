// Package seam has what tests change in the middle of a run: mistakes that they make on
// purpose, and the switches of optimizations. It is the only way in for both. The zero
// value of everything here is the program as it is.
//
// A crash test that does not find a mistake in the commit protocol is worth nothing. So
// each mistake of this package is made in a run of the crash tests, which must find it.
// The code of a mistake is in a file mistake.go of the package that makes it, and in no
// other file.
package seam

// Mistake is a mistake that a run makes on purpose.
type Mistake string

// The mistakes.
const (
	// None is what users run.
	None Mistake = ""
	// ApplyFirst applies changes to the databases before the transaction has ended.
	ApplyFirst Mistake = "changes applied before EndTransaction"
	// KeepTimes keeps operator times over an abort.
	KeepTimes Mistake = "operator times kept over an abort"
	// KeepCells keeps the rows that stores hold in memory over an abort.
	KeepCells Mistake = "cache kept over an abort"
	// LiveIdentity commits under the client's current identity, and the group does not
	// wait for workers.
	LiveIdentity Mistake = "commit under the live identity"
)

// Mistakes lists them all.
var Mistakes = []Mistake{ApplyFirst, KeepTimes, KeepCells, LiveIdentity}

// NoShortcuts returns the option of package topologytest for
// engine.Options.NoShortcuts. Package topologytest sets it while it is initialised, since
// the option is not for users.
var NoShortcuts func() any

// Combining returns the option of package topologytest that lets tasks combine records
// before they send them, as an application does. Package topologytest sets it while it is
// initialised, since the option is not for users.
var Combining func() any

// SetLevers sets what the drivers of package topologytest do unless an option says
// otherwise: whether stores take shortcuts, and whether tasks combine records. Call it
// before the first driver is made. Package topologytest sets it while it is initialised.
var SetLevers func(shortcuts, combining bool)

// SweepRows returns the option of package topologytest for engine.Options.SweepRows.
// Package topologytest sets it while it is initialised, since the option is not for
// users.
var SweepRows func(n int) any
