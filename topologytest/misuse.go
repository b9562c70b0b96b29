package topologytest

import "runtime"

// step runs f, which runs tasks. It is on the stack of whatever the tasks call, which is
// how foreign finds other goroutines.
//
//go:noinline
func (d *Driver) step(f func() error) error { return f() }

// stepEntry is where the code of step begins.
var stepEntry = func() (entry uintptr) {
	_ = (*Driver)(nil).step(func() error {
		var pc [1]uintptr
		runtime.Callers(2, pc[:]) // 0 is Callers, 1 this function, 2 step
		entry = runtime.FuncForPC(pc[0]).Entry()
		return nil
	})
	return entry
}()

// foreign reports whether its caller runs on a goroutine that no driver runs tasks on.
func foreign() bool {
	var pcs [32]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		for _, pc := range pcs[:n] {
			if f := runtime.FuncForPC(pc); f != nil && f.Entry() == stepEntry {
				return false
			}
		}
		if n < len(pcs) {
			return true
		}
	}
}

// checkMisuse fails the topology if a Context was used outside of its call: between two
// calls of the driver, nothing else notices.
func (d *Driver) checkMisuse() {
	d.t.Helper()
	if err := d.misuse.Err(); err != nil && d.failure == nil {
		d.fail(err)
	}
}
