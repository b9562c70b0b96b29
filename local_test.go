package millrace_test

import "time"

// The examples compare printed batches as text, and Print writes local time.
func init() { time.Local = time.UTC }
