package store

import "github.com/millrace-streams/millrace/internal/engine"

// expiry says which rows of a store have expired. The store's time is the largest time of
// all rows that were ever put. A row expires when the store's time is the retention past
// its own.
type expiry struct {
	time      *int64 // the store's time
	retention int64
	kept      *int64 // engine.Env.Kept

	// gone is a time. Rows with an earlier one had expired before the store was opened,
	// and stay so. The version of the program that ran before may have had a shorter
	// retention, so they need not have expired by the present one.
	gone int64
}

func newExpiry(spec *Spec, env *engine.Env) expiry {
	e := expiry{time: env.Time, retention: spec.Retention.Milliseconds(), kept: env.Kept}
	if e.kept == nil {
		e.kept = new(int64)
	}
	e.gone = max(0, *e.kept)
	return e
}

// expired reports whether a row with this time has expired.
func (e *expiry) expired(at int64) bool { return at <= *e.time-e.retention || at < e.gone }

// live returns the smallest time of a row that has not expired, at least 0.
func (e *expiry) live() int64 { return max(e.gone, engine.Later(*e.time-e.retention, 1)) }

// keepFrom notes, for the store that is opened next, that no row has an earlier time.
func (e *expiry) keepFrom(at int64) { *e.kept = max(*e.kept, at) }
