package millrace

import "time"

// SetTopicsEvery changes how often an application looks at its topics.
func SetTopicsEvery(a *App, d time.Duration) { a.seams.topicsEvery = d }

// SetPurgeEvery changes how often an application purges its repartition topics.
func SetPurgeEvery(a *App, d time.Duration) { a.seams.purgeEvery = d }
