package topologytest

import (
	"fmt"
	"testing"
)

// ForExample returns what an Example function gives to [New] in place of the *testing.T
// that it has not got: a failure panics, and nothing is cleaned up. A driver that was
// made with it must keep its databases in memory, as drivers do by default.
func ForExample() testing.TB { return exampleTB{} }

// exampleTB embeds a nil testing.TB: a method that is not here must not be called, and
// panics.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                           {}
func (exampleTB) Cleanup(func())                    {}
func (exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
