package topologytest

import "runtime"

// step runs f, which runs tasks. While tasks run, it is on the stack of their goroutine.
// foreign uses this to detect other goroutines.
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

// foreign reports whether its caller runs on a goroutine on which no driver runs tasks.
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

// checkMisuse fails the topology if a Context was used outside of its call. Between two
// calls of the driver, nothing else would notice.
func (d *Driver) checkMisuse() {
	d.t.Helper()
	if err := d.misuse.Err(); err != nil && d.failure == nil {
		d.fail(err)
	}
}
