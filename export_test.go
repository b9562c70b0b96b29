package millrace

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/millrace-streams/millrace/internal/txn"
)

// SetTopicsEvery changes how often an application looks at its topics.
func SetTopicsEvery(a *App, d time.Duration) { a.seams.TopicsEvery = d }

// SetPurgeEvery changes how often an application deletes records that it does not need
// any more.
func SetPurgeEvery(a *App, d time.Duration) { a.seams.PurgeEvery = d }

// SetSweepRows changes how many rows one commit converts after a migration.
func SetSweepRows(a *App, n int) { a.seams.SweepRows = n }

// CrashAt ends some of the commits that reach a step, as if the process died there, and
// returns how many.
func CrashAt(a *App, step txn.Step) *atomic.Int64 {
	var reached, died atomic.Int64
	a.seams.Step = func(_ int, s txn.Step) error {
		if s != step || reached.Add(1)%2 == 1 || died.Load() == 4 {
			return nil
		}
		died.Add(1)
		return errors.New("the process dies " + string(step))
	}
	return &died
}
