package millrace

import "time"

// SetTopicsEvery changes how often an application looks at its topics.
func SetTopicsEvery(a *App, d time.Duration) { a.seams.TopicsEvery = d }

// SetPurgeEvery changes how often an application deletes records that it does not need
// any more.
func SetPurgeEvery(a *App, d time.Duration) { a.seams.PurgeEvery = d }
