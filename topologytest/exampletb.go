package topologytest

import (
	"fmt"
	"testing"
)

// ForExample returns a value that an Example function passes to [New], because it has no
// *testing.T. A failure panics, and nothing is cleaned up. The driver must keep its
// databases in memory, which is the default.
func ForExample() testing.TB { return exampleTB{} }

// exampleTB embeds a nil testing.TB. Methods that are missing here panic.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                           {}
func (exampleTB) Cleanup(func())                    {}
func (exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
